#include "core/ports/ram_files.h"

#include <gtest/gtest.h>

namespace sereus {
namespace {

TEST(RamFilesTest, WritesReadsAndExtends) {
  RamFiles files;
  auto file = files.open("a/b", OpenMode::create_new);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE((*file)->write_at(3, as_bytes("xyz")).ok());
  EXPECT_EQ(*(*file)->size(), 6u);
  Bytes out(10);
  EXPECT_EQ(*(*file)->read_at(0, out), 6u);
  EXPECT_EQ(to_string(ByteView(out).first(6)), std::string("\0\0\0xyz", 6));
  EXPECT_TRUE((*file)->truncate(4).ok());
  EXPECT_EQ(*(*file)->read_at(3, out), 1u);
  EXPECT_EQ(*(*file)->read_at(9, out), 0u);
  EXPECT_EQ((*file)->write_at(UINT64_MAX - 1, as_bytes("xyz")).code(), Code::no_space);
}

TEST(RamFilesTest, ModesAreThoseOfThePort) {
  RamFiles files;
  EXPECT_EQ(files.open("a", OpenMode::read).code(), Code::not_found);
  EXPECT_EQ(files.open("a", OpenMode::read_write).code(), Code::not_found);
  EXPECT_TRUE(files.open("a", OpenMode::read_write_create).ok());
  EXPECT_EQ(files.open("a", OpenMode::create_new).code(), Code::exists);
  EXPECT_TRUE(files.open("a", OpenMode::read).ok());
}

TEST(RamFilesTest, AnOpenFileOutlivesItsName) {
  RamFiles files;
  auto old_file = files.open("a", OpenMode::create_new);
  ASSERT_TRUE((*old_file)->write_at(0, as_bytes("old")).ok());
  auto fresh = files.open("b", OpenMode::create_new);
  ASSERT_TRUE((*fresh)->write_at(0, as_bytes("new")).ok());
  ASSERT_TRUE(files.rename("b", "a").ok());
  Bytes out(3);
  EXPECT_EQ(*(*old_file)->read_at(0, out), 3u);
  EXPECT_EQ(to_string(ByteView(out)), "old");
  EXPECT_EQ(*(*files.open("a", OpenMode::read))->read_at(0, out), 3u);
  EXPECT_EQ(to_string(ByteView(out)), "new");
  EXPECT_FALSE(files.exists("b"));
}

TEST(RamFilesTest, ListsFoldersAndRemovesTrees) {
  RamFiles files;
  ASSERT_TRUE(files.make_folder("x/y").ok());
  ASSERT_TRUE(files.open("x/y/1", OpenMode::create_new).ok());
  ASSERT_TRUE(files.open("x/2", OpenMode::create_new).ok());
  ASSERT_TRUE(files.open("xx", OpenMode::create_new).ok());
  EXPECT_EQ(*files.list("x"), (std::vector<std::string>{"2", "y"}));
  EXPECT_EQ(*files.list(""), (std::vector<std::string>{"x", "xx"}));
  EXPECT_EQ(files.list("nowhere").code(), Code::not_found);
  ASSERT_TRUE(files.remove_tree("x").ok());
  EXPECT_EQ(*files.list(""), (std::vector<std::string>{"xx"}));
  EXPECT_TRUE(files.remove_tree("x").ok());
}

TEST(RamFilesTest, ALockIsHeldUntilItIsLetGo) {
  RamFiles files;
  auto held = files.lock("LOCK");
  ASSERT_TRUE(held.ok());
  EXPECT_EQ(files.lock("LOCK").code(), Code::busy);
  (*held).reset();
  EXPECT_TRUE(files.lock("LOCK").ok());
}

TEST(RamFilesTest, FreeBytesShrink) {
  RamFiles files;
  const uint64_t before = *files.free_bytes();
  auto file = files.open("a", OpenMode::create_new);
  ASSERT_TRUE((*file)->write_at(0, Bytes(1000)).ok());
  EXPECT_EQ(*files.free_bytes(), before - 1000);
}

}  // namespace
}  // namespace sereus
