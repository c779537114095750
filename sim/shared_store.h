// What workloads on stores have in common: invites, handles, reads.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/kv_model.h"
#include "sim/node_run.h"

namespace sereus::sim {

// The store's handle in the machine's present process; 0: it has no such store now.
uint64_t store_handle(SimMachine& machine, std::string_view name);
node::StoreRow store_row(SimMachine& machine, std::string_view name);
// Who the machine is. A node that runs answers; for another the row is empty.
node::InfoRow info_of(SimMachine& machine);
// All but the first machine, which knows them by their invites, are told of each other's addresses.
bool introduce_all(NodeRun& run);
Bytes state_digest(SimMachine& machine, uint64_t store);
// Nothing and no heads where there is no such key. Errors: of a failing disk, or the node is suspended.
Result<std::optional<std::string>> value_of(SimMachine& machine, uint64_t store, const std::string& key);
Result<std::vector<store::Head>> heads_of(SimMachine& machine, uint64_t store, const std::string& key);

// Its stores and whom it is connected with, for texts of violations.
std::string describe(SimMachine& machine);

// `issuer` invites `guest`, who joins.
bool join_through_invite(NodeRun& run, size_t issuer, size_t guest);

// What a DONE (null: none came) says about a write.
KvModel::Answer answer_of(const node::Event* done);

}  // namespace sereus::sim
