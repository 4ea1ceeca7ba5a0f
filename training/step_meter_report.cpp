// How a rank's measurements become the job's.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "device/cuda.h"
#include "nvml/placement.h"
#include "training/step_meter.h"

namespace lockstep::training {
namespace {

using device::Category;

// Those that are not 0.
std::map<std::string, int64_t> by_name(
    const std::array<int64_t, device::kCategories>& bytes) {
  std::map<std::string, int64_t> named;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == 0) continue;
    named.emplace(device::to_string(static_cast<Category>(i)), bytes[i]);
  }
  return named;
}

int index_of(const std::string& name, std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), name);
  const auto index = static_cast<int>(found - names.begin());
  if (found == names.end()) names.push_back(name);
  return index;
}

MemoryTimeline timeline_of(const device::CardEvents& card) {
  MemoryTimeline timeline;
  timeline.stages = {"before"};
  for (const device::MemoryEvent& event : card.events) {
    timeline.ms.push_back(std::round(event.ms * 1000) / 1000);  // microseconds will do
    timeline.category.push_back(
        index_of(std::string(to_string(event.category)), timeline.categories));
    timeline.stage.push_back(index_of(event.stage, timeline.stages));
    timeline.bytes.push_back(event.bytes);
  }
  return timeline;
}

// What the driver counts. It knows no peak, and is asked once, as training ends: the
// allocator gives nothing back (but what it has cached where a step is recorded,
// device/cuda_graph.cpp), so that what it has reserved is at its highest, and nobody's
// step waits.
nvml::Placement driver_memory(const std::vector<Card>& cards, int rank) {
  std::vector<int> devices;
  for (const Card& card : cards) devices.push_back(card.torch_device().index());
  const std::vector<nvml::Held> held =
      nvml::held_by(getpid(), nvml::read_devices(), device::cuda_pci_bus_ids());
  return nvml::placement(held, devices, rank, getpid());
}

int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

void StepMeter::end_training() {
  for (const auto& observer : options_.observers) observer->trained();
  read_steps();
  report_.cards.clear();
  for (const Card& card : cards_) {
    const device::CardBytes bytes = device::card_bytes(card.index());
    const device::AllocatorPeaks peaks = card.allocator_peaks();
    report_.cards.push_back(
        {.card = static_cast<int>(report_.cards.size()),  // the first is the primary
         .peak_bytes = bytes.peak,
         .at_peak_bytes = by_name(bytes.at_peak_by_category),
         .highest_bytes = by_name(bytes.highest_by_category),
         .allocator_peak_bytes = {{"allocated", peaks.allocated_bytes},
                                  {"reserved", peaks.reserved_bytes}}});
  }
  if (!cards_.front().emulated()) {
    const nvml::Placement driver = driver_memory(cards_, rank_);
    for (size_t i = 0; i < cards_.size(); ++i) {
      report_.cards[i].process_bytes = driver.card_bytes[i];
    }
    for (const std::string& stray : driver.stray_contexts) note(stray);
  }
  for (size_t i = 0; i < recorded_.size(); ++i) {
    report_.cards[i].timeline = timeline_of(recorded_[i]);
  }
  device::set_category(Category::other);
  stage_.reset();
}

TrainReport StepMeter::report(const Network& model, const Accuracy& accuracy) {
  report_.correct = accuracy.correct;
  report_.evaluated = accuracy.evaluated;
  report_.rss_peak_bytes = peak_rss_bytes();
  for (const auto& observer : options_.observers) observer->finished(*model);
  TrainReport job = report_;
  if (group_ != nullptr) {
    std::vector<TrainReport> ranks;
    for (const std::string& text : group_->all_gather(to_json(report_))) {
      ranks.push_back(report_from_json(text));
    }
    job = merge(ranks);
  }
  for (const auto& observer : options_.observers) observer->reported(job);
  return job;
}

}  // namespace lockstep::training
