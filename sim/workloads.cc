#include <array>

#include "core/storage/vfs.h"
#include "sim/workload.h"
#include "sim/workload_files.h"
#include "sim/workload_members.h"
#include "sim/workload_power.h"
#include "sim/workload_store.h"
#include "sim/workload_streams.h"

namespace sereus::sim {

std::span<const Workload> workloads() {
  static const std::array kAll = {kStoreWorkload, kMembersWorkload, kStreamsWorkload,
                                  kCrowdWorkload, kPowerWorkload,   kFilesWorkload};
  return kAll;
}

const Workload* find_workload(std::string_view name) {
  for (const Workload& workload : workloads()) {
    if (workload.name == name) return &workload;
  }
  return nullptr;
}

Outcome run_plan(const Plan& plan, Chronicle* chronicle) {
  storage::seed_sqlite_for_simulation(static_cast<uint32_t>(plan.seed) | 1u);
  return find_workload(plan.workload)->run(plan, chronicle);
}

}  // namespace sereus::sim
