#include "apps/sereus/host_options.h"

#include <filesystem>

namespace cli {
namespace {

std::string words(const std::vector<std::string>& all) {
  std::string out;
  for (const std::string& one : all) out += (out.empty() ? "" : " ") + one;
  return out;
}

// The library may work in another folder than the person does.
std::string absolute(const std::string& path) { return path.empty() ? path : std::filesystem::absolute(path).string(); }

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

}  // namespace

void add_host_options(CLI::App* command, HostOptions& options, HostRole role) {
  command->add_option("--transport", options.transports, "Allowed ones, the preferred first: quic,tcp,wss,ws")
      ->type_name("LIST")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"quic", "tcp", "wss", "ws"}));
  command->add_option("--security", options.security, "Secure channels of TCP and WebSocket, likewise: tls,noise")
      ->type_name("LIST")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"tls", "noise"}));
  command->add_option("--up-limit", options.up_max, "Bytes a second to send at most, like 1MiB")
      ->type_name("BYTES")
      ->transform(CLI::AsSizeValue(false));
  command->add_option("--down-limit", options.down_max, "Bytes a second to receive at most")
      ->type_name("BYTES")
      ->transform(CLI::AsSizeValue(false));
  command
      ->add_option("--authorities", options.authorities_file,
                   "PEM file: who may sign certificates of wss servers (default: the system's)")
      ->type_name("FILE");
  command->add_flag("--any-server", options.any_server,
                    "Do not look at certificates of wss servers; peers are proved all the same");
  if (role == HostRole::dials) return;
  command->add_option("--connections-max", options.connections_max, "Refuse what is above")->type_name("N");
  command->add_flag("--metered", options.metered, "Few dials at once, few connections kept");
  auto* certificate = command->add_option("--certificate", options.certificate_file,
                                          "PEM chain, to listen on /tls/ws; read again when it changes");
  auto* key = command->add_option("--key", options.key_file, "PEM key of the certificate");
  certificate->type_name("FILE")->needs(key);
  key->type_name("FILE")->needs(certificate);
}

HostSettings::HostSettings(const HostOptions& options)
    : transports_(words(options.transports)),
      security_(words(options.security)),
      certificate_file_(absolute(options.certificate_file)),
      key_file_(absolute(options.key_file)),
      authorities_file_(absolute(options.authorities_file)) {
  settings_.transports = or_null(transports_);
  settings_.security = or_null(security_);
  settings_.metered = options.metered ? 1 : 0;
  settings_.connections_max = options.connections_max;
  if (options.up_max != 0 || options.down_max != 0) {
    rate_.up_max = options.up_max;
    rate_.down_max = options.down_max;
    settings_.rates = &rate_;
    settings_.rate_count = 1;
  }
  settings_.certificate_file = or_null(certificate_file_);
  settings_.key_file = or_null(key_file_);
  settings_.authorities_file = or_null(authorities_file_);
  settings_.any_server = options.any_server ? 1 : 0;
}

}  // namespace cli
