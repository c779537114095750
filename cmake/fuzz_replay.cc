// Runs a fuzz target over recorded inputs, with any compiler: each argument is a file, or a folder of files.
// Prints how many inputs ran; a target that finds a fault aborts, after the name of its input was printed.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace fs = std::filesystem;

int main(int argc, char** argv) {
  std::vector<fs::path> inputs;
  for (int i = 1; i < argc; ++i) {
    std::error_code error;
    if (fs::is_regular_file(argv[i], error)) inputs.emplace_back(argv[i]);
    if (!fs::is_directory(argv[i], error)) continue;
    for (fs::recursive_directory_iterator it(argv[i], error), end; !error && it != end; it.increment(error)) {
      if (it->is_regular_file(error)) inputs.push_back(it->path());
    }
  }
  std::sort(inputs.begin(), inputs.end());
  LLVMFuzzerTestOneInput(nullptr, 0);
  for (const fs::path& path : inputs) {
    std::fprintf(stderr, "\r\033[K%s", path.c_str());
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }
  std::fprintf(stderr, "\r\033[K");
  std::printf("replayed %zu inputs\n", inputs.size() + 1);
  return 0;
}
