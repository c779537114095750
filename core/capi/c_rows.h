// sereus_rows: the result of a read, and C structs over the same bytes.
#pragma once

#include <variant>
#include <vector>

#include "core/node/rows.h"
#include "sereus.h"

struct sereus_rows {
  explicit sereus_rows(sereus::node::Rows from);
  sereus_rows(const sereus_rows&) = delete;
  sereus_rows& operator=(const sereus_rows&) = delete;

  const sereus::node::Rows rows;
  std::variant<std::vector<sereus_item>, std::vector<sereus_head>, std::vector<sereus_node_info>,
               std::vector<sereus_store_info>, std::vector<sereus_peer_info>, std::vector<sereus_invite_info>,
               std::vector<sereus_host_info>, std::vector<sereus_connection_info>>
      structs;
};
