#include "drivers/posix/posix_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "drivers/posix/posix_random.h"

namespace sereus::posix {
namespace {

class PosixFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "sereus-files-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    files_ = open_again();
  }
  void TearDown() override {
    const auto names = files_->list("");
    for (const std::string& name : *names) EXPECT_TRUE(files_->remove_tree(name).ok());
    EXPECT_EQ(::rmdir(root_.c_str()), 0);
  }
  std::unique_ptr<PosixFiles> open_again() const {
    auto opened = PosixFiles::open(root_, false);
    EXPECT_TRUE(opened.ok());
    return std::move(opened).value();
  }
  mode_t mode_of(const std::string& name) const {
    struct stat info {};
    EXPECT_EQ(::lstat((root_ + "/" + name).c_str(), &info), 0);
    return info.st_mode & 07777;
  }

  std::string root_;
  std::unique_ptr<PosixFiles> files_;
};

TEST_F(PosixFilesTest, WritesReadsResizesSyncs) {
  const auto file = std::move(files_->open("a", OpenMode::read_write_create)).value();
  ASSERT_TRUE(file->write_at(5, as_bytes("hello")).ok());
  Bytes out(100);
  ASSERT_EQ(file->read_at(0, out).value(), 10u);
  EXPECT_EQ(to_string(ByteView(out).subspan(5, 5)), "hello");
  EXPECT_EQ(file->read_at(10, out).value(), 0u);
  EXPECT_EQ(file->read_at(UINT64_MAX, out).code(), Code::invalid);
  EXPECT_EQ(file->write_at(UINT64_MAX - 2, as_bytes("hello")).code(), Code::invalid);
  ASSERT_TRUE(file->truncate(7).ok());
  EXPECT_EQ(file->size().value(), 7u);
  EXPECT_TRUE(file->sync().ok());
  EXPECT_TRUE(files_->sync_folder("").ok());
}

TEST_F(PosixFilesTest, ModesAndPermissions) {
  EXPECT_EQ(files_->open("a", OpenMode::read).code(), Code::not_found);
  EXPECT_EQ(files_->open("a", OpenMode::read_write).code(), Code::not_found);
  EXPECT_TRUE(files_->open("a", OpenMode::create_new).ok());
  EXPECT_EQ(files_->open("a", OpenMode::create_new).code(), Code::exists);
  EXPECT_TRUE(files_->make_folder("x/y/z").ok());
  EXPECT_TRUE(files_->make_folder("x/y/z").ok());
  EXPECT_EQ(files_->make_folder("a/b").code(), Code::exists);
  EXPECT_EQ(mode_of("a"), 0600u);
  EXPECT_EQ(mode_of("x/y"), 0700u);
  EXPECT_EQ(files_->open("x", OpenMode::read).code(), Code::invalid);
  EXPECT_EQ(files_->open("a", OpenMode::read).value()->write_at(0, as_bytes("x")).code(), Code::io);
}

TEST_F(PosixFilesTest, NothingOutsideTheDataFolder) {
  const std::vector<std::string> paths = {"../x", "/etc/passwd", "a/../../x",           "a//b",
                                          "./a",  "a/",          std::string("a\0b", 3)};
  for (const std::string& path : paths) {
    EXPECT_EQ(files_->open(path, OpenMode::read_write_create).code(), Code::invalid) << path;
    EXPECT_EQ(files_->remove_tree(path).code(), Code::invalid);
    EXPECT_FALSE(files_->exists(path));
  }
  EXPECT_EQ(files_->remove_tree("").code(), Code::invalid);
  EXPECT_EQ(files_->open(std::string(2000, 'a'), OpenMode::read).code(), Code::invalid);
}

TEST_F(PosixFilesTest, SymbolicLinksAreNotFollowed) {
  ASSERT_EQ(::symlink("/etc/hostname", (root_ + "/link").c_str()), 0);
  const auto opened = files_->open("link", OpenMode::read);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().detail.find("symbolic link"), std::string::npos) << opened.error().detail;
  ASSERT_EQ(::symlink("/tmp", (root_ + "/folder").c_str()), 0);
  EXPECT_FALSE(files_->list("folder").ok());
  EXPECT_TRUE(files_->remove_tree("folder").ok());  // the link, not what it points to
  EXPECT_EQ(::access("/tmp", F_OK), 0);
}

TEST_F(PosixFilesTest, NamesListRenameRemove) {
  for (const char* name : {"c", "a", "b"}) ASSERT_TRUE(files_->open(name, OpenMode::create_new).ok());
  EXPECT_EQ(files_->list("").value(), (std::vector<std::string>{"a", "b", "c"}));
  ASSERT_TRUE(files_->open("a", OpenMode::read_write).value()->write_at(0, as_bytes("new")).ok());
  ASSERT_TRUE(files_->rename("a", "b").ok());
  EXPECT_EQ(files_->open("b", OpenMode::read).value()->size().value(), 3u);
  EXPECT_EQ(files_->rename("a", "b").code(), Code::not_found);
  EXPECT_TRUE(files_->remove("a").ok());
  ASSERT_TRUE(files_->make_folder("d/e/f").ok());
  ASSERT_TRUE(files_->open("d/e/g", OpenMode::create_new).ok());
  ASSERT_TRUE(files_->remove_tree("d").ok());
  EXPECT_TRUE(files_->remove_tree("d").ok());
  EXPECT_FALSE(files_->exists("d"));
  EXPECT_EQ(files_->list("d").code(), Code::not_found);
}

TEST_F(PosixFilesTest, DescriptorsAreNotInherited) {
  const auto file = std::move(files_->open("a", OpenMode::create_new)).value();
  const auto lock = files_->lock("lock");
  int found = 0;
  for (int fd = 3; fd < 64; ++fd) {
    const int flags = ::fcntl(fd, F_GETFD);
    struct stat info {};
    if (flags < 0 || ::fstat(fd, &info) < 0 || info.st_uid != ::getuid()) continue;
    struct stat root {};
    ASSERT_EQ(::stat(root_.c_str(), &root), 0);
    if (info.st_dev != root.st_dev) continue;
    ++found;
    EXPECT_NE(flags & FD_CLOEXEC, 0) << fd;
  }
  EXPECT_GE(found, 3);
}

TEST_F(PosixFilesTest, ALockHeldByAnotherProcessNamesIt) {
  int ready[2];
  int finish[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(finish), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto held = open_again()->lock("lock");
    char byte = held.ok() ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) != 1) ::_exit(2);
    if (::read(finish[0], &byte, 1) != 1) ::_exit(3);
    ::_exit(0);  // without letting go: the kernel does
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  const auto refused = files_->lock("lock");
  ASSERT_EQ(refused.code(), Code::busy);
  EXPECT_EQ(refused.error().detail, "another process (pid " + std::to_string(child) + ") has this data folder open");
  ASSERT_EQ(::write(finish[1], &byte, 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(files_->lock("lock").ok());
  for (const int fd : {ready[0], ready[1], finish[0], finish[1]}) ::close(fd);
}

TEST_F(PosixFilesTest, ALockExcludesThisProcessToo) {
  auto held = files_->lock("lock");
  ASSERT_TRUE(held.ok());
  const auto other = open_again();
  const auto refused = other->lock("lock");
  ASSERT_EQ(refused.code(), Code::busy);
  EXPECT_EQ(refused.error().detail, "this process already has this data folder open");
  held.value().reset();
  EXPECT_TRUE(other->lock("lock").ok());
}

TEST_F(PosixFilesTest, FingerprintsTellFoldersApart) {
  ASSERT_TRUE(files_->make_folder("a").ok());
  ASSERT_TRUE(files_->make_folder("b").ok());
  EXPECT_NE(files_->fingerprint("a"), 0u);
  EXPECT_NE(files_->fingerprint("a"), files_->fingerprint("b"));
  EXPECT_EQ(files_->fingerprint("a"), open_again()->fingerprint("a"));
  EXPECT_EQ(files_->fingerprint("none"), 0u);
  EXPECT_GT(files_->free_bytes().value(), 0u);
}

TEST_F(PosixFilesTest, TooManyOpenFilesSaysSo) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 16;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<std::unique_ptr<File>> open;
  Error error;
  for (int i = 0; i < 32; ++i) {
    auto file = files_->open("a", OpenMode::read_write_create);
    if (!file.ok()) {
      error = file.error();
      break;
    }
    open.push_back(std::move(file).value());
  }
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(error.code, Code::io);
  EXPECT_NE(error.detail.find("too many files open"), std::string::npos) << error.detail;
}

TEST_F(PosixFilesTest, DevicesAreNotFiles) {
  const auto devices = PosixFiles::open("/dev", false);
  ASSERT_TRUE(devices.ok());
  EXPECT_EQ((*devices)->open("null", OpenMode::read_write).code(), Code::invalid);
}

TEST(PosixFiles, MissingAndMadeRoot) {
  const std::string root = ::testing::TempDir() + "sereus-files-root-" + std::to_string(::getpid());
  EXPECT_EQ(PosixFiles::open(root, false).code(), Code::not_found);
  EXPECT_TRUE(PosixFiles::open(root, true).ok());
  struct stat info {};
  ASSERT_EQ(::stat(root.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
  EXPECT_EQ(::rmdir(root.c_str()), 0);
}

TEST(PosixRandom, FillsAnySize) {
  PosixRandom random;
  random.fill({});
  Bytes a(1000);
  Bytes b(1000);
  random.fill(a);
  random.fill(b);
  EXPECT_NE(a, b);
  EXPECT_NE(a, Bytes(1000));
}

}  // namespace
}  // namespace sereus::posix
