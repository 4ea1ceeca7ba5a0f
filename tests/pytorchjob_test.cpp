// The manifest for Kubeflow's training operator: its pods, started on two hosts as the
// operator and Kubernetes would, give one card's losses. How many pods and ranks there
// are and what they train is cut to this machine; all else is the manifest's.
#include <gtest/gtest.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "emulation/hosts.h"
#include "tests/equality/run.h"
#include "tests/program_run.h"

namespace lockstep::equality {
namespace {

using Json = nlohmann::json;

// The document of that kind.
Json manifest(const std::string& kind) {
  launch::Command command;
  command.argv = {
      std::getenv("LOCKSTEP_PYTHON"), "-c",
      "import json, sys, yaml\n"
      "print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))",
      std::string(std::getenv("LOCKSTEP_SOURCE")) + "/multinode/pytorchjob.yaml"};
  command.out = command.err = launch::Output::kCapture;
  launch::Process python(command);
  EXPECT_EQ(python.wait().code, 0) << python.err();
  for (const Json& document : Json::parse(python.out())) {
    if (document.at("kind") == kind) return document;
  }
  throw std::runtime_error("no " + kind + " in the manifest");
}

// What setPodEnv() of pkg/controller.v1/pytorch/envvar.go (training-operator 1.9) adds
// for a pod, and Kubernetes for every one.
launch::Environment environment_of(const Json& job, int pod) {
  const Json& spec = job.at("spec");
  const Json& replicas = spec.at("pytorchReplicaSpecs");
  const int pods = replicas.at("Master").at("replicas").get<int>() +
                   replicas.at("Worker").at("replicas").get<int>();
  const std::string ranks = spec.at("nprocPerNode");
  std::string port;
  for (const Json& container :
       replicas.at("Master").at("template").at("spec").at("containers")) {
    if (container.at("name") != "pytorch") continue;
    for (const Json& one : container.at("ports")) {
      if (one.at("name") == "pytorchjob-port") port = one.at("containerPort").dump();
    }
  }
  return {
      {"PYTHONUNBUFFERED", "1"},
      {"MASTER_PORT", port},
      {"MASTER_ADDR", job.at("metadata").at("name").get<std::string>() + "-master-0"},
      {"WORLD_SIZE", std::to_string(pods * std::stoi(ranks))},
      {"RANK", std::to_string(pod)},
      {"PET_NODE_RANK", std::to_string(pod)},
      {"PET_NPROC_PER_NODE", ranks},
      {"PET_NNODES", std::to_string(pods)},
      {"KUBERNETES_SERVICE_HOST", "10.96.0.1"},
      {"KUBERNETES_SERVICE_PORT", "443"}};
}

class PyTorchJob : public testing::Test {
 protected:
  void SetUp() override {
    const std::string reason = emulation::Hosts::cannot();
    if (reason.empty()) {
      hosts_ = std::make_unique<emulation::Hosts>(2);
      return;
    }
    std::printf("WAIVED: tests/pytorchjob (two hosts): %s\n", reason.c_str());
    GTEST_SKIP() << "waived: no two hosts here";
  }

  // The pod's container as a command: in the image our programs lie in
  // /lockstep/build/bin, the volume is a folder, and the cluster's DNS knows the
  // master.
  Words pod(const Json& job, int number, const Words& training) const {
    const Json& container = job.at("spec")
                                .at("pytorchReplicaSpecs")
                                .at(number == 0 ? "Master" : "Worker")
                                .at("template")
                                .at("spec")
                                .at("containers")
                                .at(0);
    const std::string volume = container.at("volumeMounts").at(0).at("mountPath");
    write_text(folder_ / "hosts",
               emulation::Hosts::address(0) + " lockstep-master-0\n");
    Words words = {
        "unshare",
        "--mount",
        "sh",
        "-c",
        "mount --bind " + folder_ / "hosts" + " /etc/hosts && exec env \"$@\"",
        "sh"};
    for (const auto& [name, value] : environment_of(job, number)) {
      words.push_back(name + "=" + value);
    }
    for (std::string word : container.at("command").get<Words>()) {
      for (const auto& [from, to] :
           {std::pair<std::string, std::string>("/lockstep/build/bin",
                                                std::getenv("LOCKSTEP_BIN")),
            {"=" + volume, "=" + folder_ / "volume"}}) {
        const size_t at = word.find(from);
        if (at != std::string::npos) word.replace(at, from.size(), to);
      }
      words.push_back(word);
    }
    words.insert(words.end(), training.begin(), training.end());
    return hosts_->on(number, words);
  }

  std::unique_ptr<emulation::Hosts> hosts_;
  TestFolder folder_;
};

TEST_F(PyTorchJob, GivesOneCardsLosses) {
  const std::string work = " --model mlp --precision fp64 --steps 30";
  const auto& one_card = program_losses("single_gpu --batch-size 64" + work);
  Json job = manifest("PyTorchJob");
  job["spec"]["pytorchReplicaSpecs"]["Worker"]["replicas"] = 1;
  for (const int ranks : {2, 1}) {
    job["spec"]["nprocPerNode"] = std::to_string(ranks);
    const Words training =
        words("--device cpu --threads-per-card 1 --quiet --batch-size " +
              std::to_string(32 / ranks) + work);
    launch::Command command;
    command.argv = pod(job, 1, training);
    command.out = command.err = launch::Output::kCapture;
    launch::Process worker(command);
    const double error = apart(losses(pod(job, 0, training)), one_card, 30);
    std::printf("%-9.1e of 1e-10: 2 pods of nprocPerNode %d\n", error, ranks);
    EXPECT_LE(error, 1e-10);
    EXPECT_EQ(worker.wait().code, 0) << worker.err();
    const std::string left = folder_ / "volume/lockstep/latest";
    EXPECT_EQ(read_text(left), "step-00000030\n");
    std::filesystem::remove_all(folder_ / "volume");
  }
}

// Pods differ in nothing but what the operator tells them; and what they keep lies on
// the volume that the manifest claims.
TEST(PyTorchJobFile, HoldsTogether) {
  const Json spec = manifest("PyTorchJob").at("spec").at("pytorchReplicaSpecs");
  EXPECT_EQ(spec.at("Master").at("replicas"), 1);
  EXPECT_EQ(spec.at("Master").at("template"), spec.at("Worker").at("template"));
  for (const char* kind : {"Master", "Worker"}) {
    EXPECT_EQ(spec.at(kind).at("restartPolicy"), "OnFailure");
  }
  const Json pod = spec.at("Master").at("template").at("spec");
  const Json& container = pod.at("containers").at(0);
  EXPECT_EQ(container.at("volumeMounts").at(0).at("name"),
            pod.at("volumes").at(0).at("name"));
  EXPECT_EQ(pod.at("volumes").at(0).at("persistentVolumeClaim").at("claimName"),
            manifest("PersistentVolumeClaim").at("metadata").at("name"));
  // As it stands there, on an image of Fashion-MNIST.
  Words words = {"--dry-run", "--device", "cpu"};
  const Words training = container.at("args");
  words.insert(words.end(), training.begin(), training.end());
  ProgramRun run("multinode", words);
  EXPECT_EQ(run.status(), 0) << run.process().err();
}

}  // namespace
}  // namespace lockstep::equality
