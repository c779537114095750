// Settings of a host: sereus_host_settings from a dictionary.
#pragma once

#include <pybind11/stl.h>

#include <deque>
#include <tuple>
#include <utility>
#include <vector>

#include "values.h"

// From a dictionary with the names of the C struct. Texts are its own: it must stay where it is while the struct is used.
class HostSettings {
 public:
  explicit HostSettings(const std::optional<py::dict>& given) {
    if (!given) return;
    is_given_ = true;
    for (const auto& item : *given) take(item.first.cast<std::string>(), item.second);
    settings_.rates = rates_.data();
    settings_.rate_count = rates_.size();
  }
  HostSettings(const HostSettings&) = delete;
  HostSettings& operator=(const HostSettings&) = delete;
  const sereus_host_settings* get() const { return is_given_ ? &settings_ : nullptr; }

 private:
  const char* keep(const py::handle& text) {
    texts_.push_back(text.cast<std::string>());
    return texts_.back().c_str();
  }

  void take(const std::string& name, const py::handle& value) {
    sereus_host_settings& s = settings_;
    if (name == "transports") s.transports = keep(value);
    if (name == "security") s.security = keep(value);
    if (name == "no_ipv4") s.no_ipv4 = value.cast<bool>();
    if (name == "no_ipv6") s.no_ipv6 = value.cast<bool>();
    if (name == "metered") s.metered = value.cast<bool>();
    if (name == "connections_low") s.connections_low = value.cast<uint32_t>();
    if (name == "connections_high") s.connections_high = value.cast<uint32_t>();
    if (name == "connections_max") s.connections_max = value.cast<uint32_t>();
    if (name == "connections_peer_max") s.connections_peer_max = value.cast<uint32_t>();
    if (name == "streams_peer_max") s.streams_peer_max = value.cast<uint32_t>();
    if (name == "memory_max") s.memory_max = value.cast<uint64_t>();
    if (name == "certificate_file") s.certificate_file = keep(value);
    if (name == "key_file") s.key_file = keep(value);
    if (name == "authorities_file") s.authorities_file = keep(value);
    if (name == "any_server") s.any_server = value.cast<bool>();
    if (name != "rates") return;
    for (const auto& item : value.cast<py::dict>()) {
      sereus_rate rate = SEREUS_INIT(sereus_rate);
      if (!item.first.is_none()) rate.transport = keep(item.first);
      std::tie(rate.up_max, rate.down_max) = item.second.cast<std::pair<uint64_t, uint64_t>>();
      rates_.push_back(rate);
    }
  }

  bool is_given_ = false;
  sereus_host_settings settings_ = SEREUS_INIT(sereus_host_settings);
  std::deque<std::string> texts_;
  std::vector<sereus_rate> rates_;
};
