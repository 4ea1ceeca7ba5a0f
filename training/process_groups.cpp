// How ranks meet, over each kind of process group.
#include <cstdlib>

#include "comm/gloo.h"
#include "comm/nccl.h"
#include "comm/own_address.h"
#include "comm/quiet_log.h"
#include "comm/rendezvous.h"
#include "device/cuda.h"
#include "fingerprint/checked.h"
#include "hier/hier.h"
#include "launch/listener.h"
#include "membership/watch.h"
#include "shm/shm.h"
#include "training/catalog.h"

namespace lockstep::training {
namespace {

std::chrono::seconds patience(const TrainOptions& options) {
  return std::chrono::seconds(options.timeout_s);
}

comm::Meeting meeting_of(const TrainOptions& options, const World& world) {
  comm::Meeting meeting;
  meeting.rank = world.rank;
  meeting.world_size = world.world_size;
  meeting.host = world.master_addr;
  meeting.port = world.master_port;
  meeting.file = world.store_file;
  meeting.attempt = world.attempt;
  meeting.host_store = !world.agent_hosts_store;
  meeting.job = world.job;
  meeting.timeout = patience(options);
  meeting.terms = "--backend " + options.backend + " --debug " + options.debug;
  if (world.rank == 0 && meeting.host_store && meeting.file.empty()) {
    meeting.listen_fd =
        world.store_fd >= 0
            ? world.store_fd
            : launch::Listener(world.master_addr, world.master_port).release();
  }
  return meeting;
}

// Beside the collectives of whatever backend.
comm::PeerWatchPtr watch_over(const TrainOptions& options, const World& world,
                              c10d::Store& store, const std::string& own_address) {
  if (world.world_size == 1) return nullptr;
  membership::WatchOptions watch;
  watch.index = world.rank;
  watch.count = world.world_size;
  watch.address = own_address;
  watch.turn = world.local_rank;
  watch.last_words = options.last_words;
  return std::make_shared<membership::Watch>(store, watch);
}

ProcessGroupPtr as_asked(const TrainOptions& options,
                         const c10::intrusive_ptr<c10d::Store>& store,
                         const std::string& address, ProcessGroupPtr group) {
  if (options.debug != "off") {
    group = fingerprint::checked(*group, store, patience(options));
  }
  group->met_at({store, address});
  return group;
}

ProcessGroupPtr meet_over_gloo(const TrainOptions& options, const World& world) {
  const comm::Meeting meeting = meeting_of(options, world);
  const auto store = comm::meet(meeting);
  const std::string address = comm::own_address(meeting, *store);
  return as_asked(
      options, store, address,
      comm::make_gloo(store, world.rank, world.world_size, address, patience(options),
                      watch_over(options, world, *store, address)));
}

ProcessGroupPtr meet_over_shm(const TrainOptions& options, const World& world) {
  const auto store = comm::meet(meeting_of(options, world));
  return as_asked(options, store, /*address=*/"127.0.0.1",
                  shm::make_shm(store, world.rank, world.world_size, patience(options),
                                /*card=*/world.local_rank,
                                watch_over(options, world, *store, "127.0.0.1")));
}

ProcessGroupPtr meet_over_hier(const TrainOptions& options, const World& world) {
  const comm::Meeting meeting = meeting_of(options, world);
  const auto store = comm::meet(meeting);
  const std::string address = comm::own_address(meeting, *store);
  hier::HierOptions how;
  how.interface_address = address;
  how.timeout = patience(options);
  how.card = world.local_rank;
  return as_asked(options, store, address,
                  hier::make_hier(store, world.rank, world.world_size, how,
                                  watch_over(options, world, *store, address)));
}

// NCCL takes two ranks on one device for a mistake unless they claim to be on different
// hosts; then they talk over sockets: right for correctness, not for bandwidth. And it
// listens on whatever interface it likes, where nobody says which.
void prepare_nccl(const TrainOptions& options, const World& world,
                  const std::string& own_address) {
  const auto set = [](const char* name, const std::string& value) {
    setenv(name, value.c_str(), /*overwrite=*/0);  // the user knows better
  };
  if (options.ranks_per_gpu > 1) {
    set("NCCL_HOSTID", "lockstep-" + std::to_string(world.rank));
  }
  // Note [NCCL's errors]
  // A collective of NCCL's that fails, or that a peer does not come to within
  // --timeout, fails on the card: no call here returns an error. LibTorch's watchdog
  // sees it and ends the process a minute later, in many lines. It breaks the
  // communicators off instead, at once and no more than that, so that the card's queue
  // goes on, and the process group says what happened (ProcessGroup::at_step). It watches no collective
  // that is replayed (--cuda-graph): of those --timeout does not hold, and only a peer
  // that has gone is told of.
  set("TORCH_NCCL_ASYNC_ERROR_HANDLING", "2");  // clean up only
  set("TORCH_NCCL_DUMP_ON_TIMEOUT", "0");
  set("TORCH_NCCL_WAIT_TIMEOUT_DUMP_MILSEC", "0");
  // "=": that name, and not all that begin with it.
  const std::string interface = comm::interface_of(own_address);
  if (!interface.empty()) set("NCCL_SOCKET_IFNAME", "=" + interface);
}

ProcessGroupPtr meet_over_nccl(const TrainOptions& options, const World& world) {
  const comm::Meeting meeting = meeting_of(options, world);
  const auto store = comm::meet(meeting);
  const std::string address = comm::own_address(meeting, *store);
  prepare_nccl(options, world, address);
  const at::Device device =
      make_cards(options, world.local_world_size).at(world.local_rank).torch_device();
  return as_asked(
      options, store, address,
      comm::make_nccl(store, world.rank, world.world_size, device, patience(options),
                      watch_over(options, world, *store, address)));
}

}  // namespace

Registry<ProcessGroupPtr(const TrainOptions&, const World&)>& process_groups() {
  static Registry<ProcessGroupPtr(const TrainOptions&, const World&)> known(
      "backend", {{"gloo", &meet_over_gloo},
                  {"nccl", &meet_over_nccl},
                  {"shm", &meet_over_shm},
                  {"hier", &meet_over_hier}});
  return known;
}

std::string resolve_backend(const TrainOptions& options, const World& world) {
  const bool cuda = options.device == "cuda" ||
                    (options.device == "auto" && device::cuda_devices().count > 0);
  const bool one_host = world.local_world_size == world.world_size;
  if (options.backend == "nccl" && !cuda) {
    throw std::invalid_argument(
        "--backend nccl moves bytes between CUDA cards and --device " + options.device +
        " has none here; try --backend gloo");
  }
  if (options.backend == "shm" && (cuda || !one_host)) {
    throw std::invalid_argument(
        std::string("--backend shm serves the emulated cards of one host, and these ") +
        (cuda ? "are CUDA cards; try --backend nccl"
              : "are on several; try --backend gloo"));
  }
  if (options.backend == "hier" && cuda) {
    throw std::invalid_argument(
        "--backend hier adds up in CPU memory inside a host, and these are CUDA cards; "
        "try --backend nccl, which goes host-first by itself");
  }
  if (options.backend == "hier" && one_host) {
    throw std::invalid_argument(
        "--backend hier is for ranks on several hosts, and these are on one; try "
        "--backend shm");
  }
  if (options.backend != "auto") {
    process_groups().at(options.backend);
    return options.backend;
  }
  if (cuda) return "nccl";
  return one_host ? "shm" : "gloo";
}

ProcessGroupPtr make_process_group(const TrainOptions& options, const World& world) {
  const comm::QuietLog quiet;
  TrainOptions asked = options;
  asked.debug = fingerprint::wants_detail(options.debug) ? "detail" : "off";
  asked.backend = resolve_backend(options, world);
  return process_groups().at(asked.backend)(asked, world);
}

}  // namespace lockstep::training
