// Data that is missing, spoiled or not the model's, from every program that reads it:
// one line that names the file and a way out, and nothing left behind.
#include <sys/stat.h>

#include "tests/idx_folder.h"
#include "tests/program_in_copy.h"
#include "tests/program_run.h"
#include "tests/refused_input.h"

namespace lockstep {
namespace {

const std::vector<std::string> kImages = {"--model",  "mlp", "--dataset", "mnist",
                                          "--device", "cpu", "--steps",   "2"};

TEST(BadData, OfIdxFiles) {
  struct Spoiled {
    const char* what;
    void (*spoil)(const IdxFolder&);
    std::vector<std::string> words;
  };
  const std::vector<Spoiled> table = {
      {"missing file",
       [](const IdxFolder& data) { data.remove("t10k-labels-idx1-ubyte"); },
       {"t10k-labels-idx1-ubyte", "--data-dir"}},
      {"truncated gzip",
       [](const IdxFolder& data) {
         data.remove("train-images-idx3-ubyte");
         // A gzip header and the first bytes of a stored block of 65535.
         data.write("train-images-idx3-ubyte.gz",
                    std::string("\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\xff\xff\0\0abc", 18));
       },
       {"train-images-idx3-ubyte.gz", "truncated", "fetch"}},
      {"wrong magic",
       [](const IdxFolder& data) {
         data.write("train-images-idx3-ubyte", idx_images(kTrainImages, 0x802));
       },
       {"train-images-idx3-ubyte", "0x00000802", "0x00000803"}},
      {"lengths that do not add up",
       [](const IdxFolder& data) {
         data.write("t10k-images-idx3-ubyte", idx_images(16).substr(0, 5000));
       },
       {"t10k-images-idx3-ubyte", "16 images", "4984 bytes"}},
      {"a label out of range",
       [](const IdxFolder& data) {
         data.write("train-labels-idx1-ubyte", idx_labels(kTrainImages, 10));
       },
       {"train-labels-idx1-ubyte", "label 0 is 10", "0..9"}},
      {"counts that differ",
       [](const IdxFolder& data) {
         data.write("train-labels-idx1-ubyte", idx_labels(kTrainImages - 1));
       },
       {"256 images", "255 labels", "train-labels-idx1-ubyte"}},
  };
  const TestFolder place;
  for (const Spoiled& one : table) {
    SCOPED_TRACE(one.what);
    const IdxFolder data;
    one.spoil(data);
    const std::vector<std::string> given =
        joined(kImages, {"--data-dir", data.path, "--gpus"});
    refuse_in_copy("single_gpu", {joined(given, {"1"}), 1, one.words});
    refuse_in_copy("data_parallel", {joined(given, {"2"}), 1, one.words});
    refuse("ddp", {joined(given, {"2"}), 1, one.words});
    if (&one != &table.front()) continue;  // the executables differ in their names
    refuse("single_gpu", {joined(given, {"1"}), 1, one.words});
    refuse("data_parallel", {joined(given, {"2"}), 1, one.words});
    // It only passes on what they say.
    refuse("bench", {joined(given, {"2", "--out", place / "out"}), 1, one.words});
  }
  for (const std::string& program : kTraining) {
    refuse(program, {joined(kImages, {"--data-dir", place / "none"}),
                     1,
                     {place / "none", "--data-dir"}});
    const IdxFolder whole;
    ProgramRun run(program, joined(kImages, {"--data-dir", whole.path, "--quiet"}));
    EXPECT_EQ(run.status(), 0)
        << "the spoiled ones' whole sibling: " << run.process().err();
  }
  EXPECT_EQ(place.names(), std::vector<std::string>{});
}

TEST(BadData, OfTheTransformer) {
  const TestFolder place;
  write_text(place / "short", "Call me Ishmael.");
  const std::vector<std::string> tokens = {"--model", "transformer", "--device",  "cpu",
                                           "--steps", "1",           "--data-dir"};
  ASSERT_EQ(mkfifo((place / "pipe").c_str(), 0600), 0);
  for (const auto& [name, why] :
       {std::pair("none", "No such file"), std::pair("", "is a folder"),
        std::pair("pipe", "is no regular file"), std::pair("short", "129")}) {
    refuse_in_copy(
        "single_gpu",
        {joined(tokens, {place / name}), 1, {"--data-dir " + (place / name), why}});
  }
  write_text(place / "text", std::string(200, 'x'));
  refuse("single_gpu",
         {joined(tokens, {place / "text", "--vocab-size", "100"}),
          1,
          {"--data-dir " + (place / "text"), "byte 0 is 120", "--vocab-size 256"}});
  refuse("ddp", {{"--model", "transformer", "--dataset", "features100", "--device",
                  "cpu", "--steps", "1"},
                 2,
                 {"--model transformer", "--dataset features100", "with tokens"}});
}

TEST(BadData, OfCifar10) {
  const TestFolder place;
  refuse("single_gpu", {{"--model", "mlp", "--dataset", "cifar10", "--device", "cpu",
                         "--data-dir", place / ""},
                        1,
                        {"data_batch_1.bin", "--data-dir"}});
}

}  // namespace
}  // namespace lockstep
