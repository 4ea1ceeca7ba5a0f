// What the timeline's file holds: valid Trace Event JSON, Horovod's lanes and phases.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "negotiation/timeline.h"
#include "tests/test_folder.h"

namespace lockstep::negotiation {
namespace {

using Json = nlohmann::json;

Request tensor(const std::string& name) {
  Request request;
  request.name = name;
  request.dtype = "Float";
  request.element_bytes = 4;
  request.shape = {3, 2};
  return request;
}

Settings into(const std::string& path, bool marks = false) {
  Settings settings;
  settings.timeline = path;
  settings.timeline_mark_cycles = marks;
  return settings;
}

// Each lane's events in order: "B NEGOTIATE_ALLREDUCE", "X 0", "E".
std::map<std::string, std::vector<std::string>> lanes_of(const Json& trace) {
  std::map<int, std::string> names = {{0, ""}};
  std::map<std::string, std::vector<std::string>> lanes;
  double last = 0;
  for (const Json& event : trace.at("traceEvents")) {
    const int pid = event.at("pid");
    if (event.at("ph") == "M") {
      if (event.at("name") == "process_name") names[pid] = event.at("args").at("name");
      continue;
    }
    EXPECT_GE(event.at("ts").get<double>(), last) << "in the order of time";
    last = event.at("ts");
    lanes[names.at(pid)].push_back(
        event.at("ph").get<std::string>() +
        (event.contains("name") ? " " + event.at("name").get<std::string>() : ""));
  }
  return lanes;
}

TEST(Timeline, HoldsEachTensorsPhases) {
  const TestFolder folder;
  Timeline timeline(into(folder / "t.json", /*marks=*/true));
  const Request a = tensor("a");
  timeline.negotiate_start(a);
  timeline.negotiate_rank_ready("a", 1);
  timeline.negotiate_rank_ready("a", 0);
  timeline.negotiate_end("a");
  timeline.mark_cycle();
  timeline.start({a, tensor("b")});
  timeline.activity_start({a, tensor("b")}, "QUEUE");
  timeline.activity_end({a, tensor("b")});
  timeline.end({a, tensor("b")});
  timeline.write();
  std::ifstream file(folder / "t.json");
  const Json trace = Json::parse(file);
  const auto lanes = lanes_of(trace);
  EXPECT_EQ(lanes.at("a"),
            (std::vector<std::string>{"B NEGOTIATE_ALLREDUCE", "X 1", "X 0", "E",
                                      "B ALLREDUCE", "B QUEUE", "E", "E"}));
  EXPECT_EQ(lanes.at("b"),
            (std::vector<std::string>{"B ALLREDUCE", "B QUEUE", "E", "E"}));
  EXPECT_EQ(lanes.at(""), std::vector<std::string>{"i CYCLE_START"});
  EXPECT_NE(trace.dump().find(R"("args":{"elements":6})"), std::string::npos);
}

// As a run leaves it that ends by an error.
TEST(Timeline, EndsWhatIsOpen) {
  Timeline timeline(into("unused"));
  timeline.negotiate_start(tensor("a"));
  timeline.start({tensor("b")});
  timeline.activity_start({tensor("b")}, "GLOO_ALLREDUCE");
  const auto lanes = lanes_of(Json::parse(timeline.text()));
  EXPECT_EQ(lanes.at("a"), (std::vector<std::string>{"B NEGOTIATE_ALLREDUCE", "E"}));
  EXPECT_EQ(lanes.at("b"),
            (std::vector<std::string>{"B ALLREDUCE", "B GLOO_ALLREDUCE", "E", "E"}));
}

TEST(Timeline, MarksNoCyclesUnlessAsked) {
  Timeline timeline(into("unused"));
  timeline.mark_cycle();
  EXPECT_EQ(Json::parse(timeline.text()).at("traceEvents").size(), 0U);
}

TEST(Timeline, LeavesNoFileWhereNobodyAsked) {
  Timeline timeline;
  timeline.negotiate_start(tensor("a"));
  timeline.write();
  EXPECT_EQ(Json::parse(timeline.text()).at("traceEvents").size(), 0U);
}

}  // namespace
}  // namespace lockstep::negotiation
