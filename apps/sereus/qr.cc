#include <qrencode.h>

#include <memory>

#include "apps/sereus/commands.h"

namespace cli {
namespace {

constexpr int kQuietZone = 2;  // modules; the standard asks for 4, scanners are content with 2 on a plain background

struct CodeFree {
  void operator()(QRcode* code) const { QRcode_free(code); }
};

}  // namespace

std::string qr_text(const std::string& content, bool colors) {
  const std::unique_ptr<QRcode, CodeFree> code(QRcode_encodeData(
      static_cast<int>(content.size()), reinterpret_cast<const unsigned char*>(content.data()), 0, QR_ECLEVEL_L));
  if (!code) return {};
  const int width = code->width;
  const auto dark = [&](int x, int y) {
    if (x < 0 || y < 0 || x >= width || y >= width) return false;
    return (code->data[y * width + x] & 1) != 0;
  };
  std::string out;
  for (int y = -kQuietZone; y < width + kQuietZone; y += 2) {
    if (colors) out += "\033[38;5;16m\033[48;5;231m";
    for (int x = -kQuietZone; x < width + kQuietZone; ++x) {
      // With colours the foreground is dark; without, a drawn block is light.
      const bool upper = dark(x, y) == colors;
      // The row below an odd last one lies outside: nothing is drawn there.
      const bool lower = y + 1 < width + kQuietZone ? dark(x, y + 1) == colors : false;
      out += upper && lower ? "█" : upper ? "▀" : lower ? "▄" : " ";
    }
    if (colors) out += "\033[0m";
    out += '\n';
  }
  return out;
}

}  // namespace cli
