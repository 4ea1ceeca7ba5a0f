#include "data/data_folder.h"

#include <gtest/gtest.h>

#include <fstream>
#include <stdexcept>

#include "tests/test_folder.h"

namespace lockstep::data {
namespace {

namespace fs = std::filesystem;

class DataFolderTest : public testing::Test {
 protected:
  void touch(const std::string& name) { std::ofstream(folder_ / name) << "x"; }
  void touch_all() {
    for (const char* name : {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte",
                             "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"}) {
      touch(name);
    }
  }
  static std::string refusal(const std::string& dataset, const fs::path& folder) {
    try {
      find_idx_files(dataset, folder);
    } catch (const std::exception& error) {
      return error.what();
    }
    return "found";
  }

  TestFolder folder_;
};

TEST_F(DataFolderTest, FindsPlainAndGzippedFiles) {
  touch_all();
  IdxFiles files = find_idx_files("mnist", folder_.path());
  EXPECT_EQ(files.train_images, folder_ / "train-images-idx3-ubyte.gz");
  EXPECT_EQ(files.train_labels, folder_ / "train-labels-idx1-ubyte");
  EXPECT_EQ(files.test_images, folder_ / "t10k-images-idx3-ubyte");
  EXPECT_EQ(files.test_labels, folder_ / "t10k-labels-idx1-ubyte.gz");
  touch("train-images-idx3-ubyte");
  EXPECT_EQ(find_idx_files("mnist", folder_.path()).train_images.extension(), "");
}

TEST_F(DataFolderTest, AMissingFolderIsNamedWithTheWayToGetIt) {
  fs::path missing = folder_ / "missing";
  EXPECT_EQ(refusal("fashion-mnist", missing),
            "no folder " + missing.string() +
                ": apt-get install dataset-fashion-mnist, or give --data-dir with the "
                "four IDX files");
  // No Debian package has MNIST: do not send anybody to one.
  EXPECT_EQ(refusal("mnist", missing).find("apt-get"), std::string::npos);
}

TEST_F(DataFolderTest, AMissingFileIsNamed) {
  touch_all();
  fs::remove(folder_ / "t10k-labels-idx1-ubyte.gz");
  fs::create_directory(folder_ / "t10k-labels-idx1-ubyte");  // a folder is no file
  EXPECT_EQ(refusal("fashion-mnist", folder_.path()),
            "no file " + folder_ / "t10k-labels-idx1-ubyte" +
                "[.gz]: apt-get install dataset-fashion-mnist, or give --data-dir with "
                "the four IDX files");
}

TEST_F(DataFolderTest, FindsCifar10WithOrWithoutItsArchivesFolder) {
  const auto touch_in = [&](const std::string& in) {
    for (const char* name :
         {"data_batch_1.bin", "data_batch_2.bin.gz", "data_batch_3.bin",
          "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"}) {
      touch(in + name);
    }
  };
  touch_in("");
  const CifarFiles files = find_cifar10_files(folder_.path());
  ASSERT_EQ(files.train.size(), 5u);
  EXPECT_EQ(files.train[1], folder_ / "data_batch_2.bin.gz");
  EXPECT_EQ(files.train[4], folder_ / "data_batch_5.bin");
  EXPECT_EQ(files.test, folder_ / "test_batch.bin");

  fs::create_directory(folder_ / "cifar-10-batches-bin");
  touch_in("cifar-10-batches-bin/");
  EXPECT_EQ(find_cifar10_files(folder_.path()).test,
            folder_ / "cifar-10-batches-bin/test_batch.bin");
}

TEST_F(DataFolderTest, AMissingFileOfCifar10IsNamed) {
  try {
    find_cifar10_files(folder_.path());
    FAIL() << "found";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(error.what(), "no file " + folder_ / "data_batch_1.bin" +
                                "[.gz]: give --data-dir with the six files of its "
                                "binary version (data_batch_1.bin[.gz], ...)");
  }
  EXPECT_THROW(find_cifar10_files(folder_ / "missing"), std::runtime_error);
}

TEST_F(DataFolderTest, DefaultsAreDebians) {
  EXPECT_EQ(default_data_dir("fashion-mnist"), "/usr/share/datasets/fashion-mnist");
  EXPECT_EQ(default_data_dir("mnist"), "/usr/share/datasets/mnist");
  EXPECT_THROW(default_data_dir("synthetic"), std::invalid_argument);
}

}  // namespace
}  // namespace lockstep::data
