// Schedule files. Unknown members are passed over, so that later versions may add some.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "sim/plan.h"
#include "sim/workload.h"

namespace sereus::sim {
namespace {

using Json = nlohmann::json;

Json json_of(const Fault& fault) {
  Json out = {{"kind", std::string(name_of(fault.kind))}, {"at_us", fault.at_us}, {"machine", fault.machine}};
  if (fault.for_us != 0) out["for_us"] = fault.for_us;
  if (fault.other != 0) out["other"] = fault.other;
  if (fault.amount != 0) out["amount"] = fault.amount;
  return out;
}

// Reads members and remembers the first that is not what it should be.
class Reader {
 public:
  uint64_t number(const Json& object, const char* name, const std::string& where, uint64_t fallback = 0) {
    const auto found = object.find(name);
    if (found == object.end()) return fallback;
    if (!found->is_number_unsigned()) {
      complain(where + "." + name + " is not a number from 0 on");
      return fallback;
    }
    return found->get<uint64_t>();
  }
  int64_t signed_number(const Json& object, const char* name, const std::string& where) {
    const auto found = object.find(name);
    if (found == object.end()) return 0;
    if (!found->is_number_integer()) {
      complain(where + "." + name + " is not a whole number");
      return 0;
    }
    return found->get<int64_t>();
  }
  std::string text(const Json& object, const char* name, const std::string& where) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_string()) {
      complain(where + "." + name + " is missing or not a text");
      return {};
    }
    return found->get<std::string>();
  }
  void complain(std::string what) {
    if (problem_.empty()) problem_ = std::move(what);
  }
  const std::string& problem() const { return problem_; }

 private:
  std::string problem_;
};

void read_faults(const Json& root, Plan& plan, Reader& reader) {
  const auto list = root.find("faults");
  if (list == root.end()) return;
  if (!list->is_array()) return reader.complain("faults is not a list");
  plan.faults.reserve(list->size());
  for (const Json& item : *list) {
    const std::string where = "faults[" + std::to_string(plan.faults.size()) + "]";
    if (!item.is_object()) return reader.complain(where + " is not an object");
    Fault fault;
    const std::string kind = reader.text(item, "kind", where);
    if (const auto known = fault_kind_of(kind)) {
      fault.kind = *known;
    } else {
      std::string problem = where;
      problem.append(".kind: there is no fault ").append(kind);
      reader.complain(std::move(problem));
    }
    fault.at_us = reader.number(item, "at_us", where);
    fault.for_us = reader.number(item, "for_us", where);
    fault.machine = reader.number(item, "machine", where);
    fault.other = reader.number(item, "other", where);
    fault.amount = reader.signed_number(item, "amount", where);
    if (fault.machine >= plan.nodes || fault.other >= plan.nodes)
      reader.complain(where + " is of a machine that is not there");
    plan.faults.push_back(fault);
  }
}

// [at_us, machine, kind, draws]: there are many, and nobody reads them.
void read_actions(const Json& root, Plan& plan, Reader& reader) {
  const auto list = root.find("actions");
  if (list == root.end()) return;
  if (!list->is_array()) return reader.complain("actions is not a list");
  plan.actions.reserve(list->size());
  for (const Json& item : *list) {
    const std::string where = "actions[" + std::to_string(plan.actions.size()) + "]";
    const bool four = item.is_array() && item.size() == 4 &&
                      std::all_of(item.begin(), item.end(), [](const Json& n) { return n.is_number_unsigned(); });
    if (!four) return reader.complain(where + " is not four numbers");
    const Action action{item[0].get<uint64_t>(), item[1].get<size_t>(), item[2].get<uint32_t>(),
                        item[3].get<uint64_t>()};
    if (action.machine >= plan.nodes) return reader.complain(where + " is of a machine that is not there");
    plan.actions.push_back(action);
  }
}

}  // namespace

std::string write_plan(const Plan& plan, std::string_view commit) {
  Json root;
  root["seed"] = plan.seed;
  root["commit"] = std::string(commit);
  root["workload"] = plan.workload;
  root["transport"] = std::string(name_of(plan.transport));
  root["nodes"] = plan.nodes;
  root["duration_us"] = plan.duration_us;
  root["knobs"] = plan.knobs;
  root["faults"] = Json::array();
  for (const Fault& fault : plan.faults) root["faults"].push_back(json_of(fault));
  root["actions"] = Json::array();
  for (const Action& action : plan.actions) {
    root["actions"].push_back({action.at_us, action.machine, action.kind, action.draws});
  }
  return root.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Plan> read_plan(std::string_view json) {
  const Json root = Json::parse(json, nullptr, false);
  if (root.is_discarded()) return fail(Code::malformed, "not JSON");
  if (!root.is_object()) return fail(Code::malformed, "not an object");
  Reader reader;
  Plan plan;
  plan.seed = reader.number(root, "seed", "schedule");
  plan.workload = reader.text(root, "workload", "schedule");
  const std::string transport = reader.text(root, "transport", "schedule");
  if (const auto known = transport_of(transport)) {
    plan.transport = *known;
  } else {
    reader.complain("schedule.transport: there is no transport " + transport);
  }
  if (find_workload(plan.workload) == nullptr)
    reader.complain("schedule.workload: there is no workload " + plan.workload);
  plan.nodes = reader.number(root, "nodes", "schedule");
  if (plan.nodes == 0 || plan.nodes > kNodesMax) reader.complain("schedule.nodes: 1 to " + std::to_string(kNodesMax));
  plan.duration_us = reader.number(root, "duration_us", "schedule");
  if (const auto knobs = root.find("knobs"); knobs != root.end()) {
    if (!knobs->is_object()) reader.complain("schedule.knobs is not an object");
    for (auto knob = knobs->begin(); knobs->is_object() && knob != knobs->end(); ++knob) {
      plan.knobs[knob.key()] = reader.signed_number(*knobs, knob.key().c_str(), "knobs");
    }
  }
  if (reader.problem().empty()) read_faults(root, plan, reader);
  if (reader.problem().empty()) read_actions(root, plan, reader);
  if (!reader.problem().empty()) return fail(Code::malformed, reader.problem());
  return plan;
}

}  // namespace sereus::sim
