// Cells: the reference formulas have full points in what is measured today, wrong ones
// what their band leaves, empty ones none. Each quantity is measured once.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cells/cell_file.h"
#include "cells/judge.h"
#include "cells/program_output.h"
#include "tests/error_of.h"
#include "tests/test_folder.h"
#include "tests/text_file.h"

namespace lockstep::cells {
namespace {

std::string source(const std::string& path) {
  return std::string(std::getenv("LOCKSTEP_SOURCE")) + "/" + path;
}

// Wrong formulas, and the points that are left to them.
struct Wrong {
  const char* id;
  const char* formula;
  int points;
};
constexpr Wrong kWrong[] = {
    // Biases forgotten.
    {"1_parameters", "(inputs*hidden + (layers-1)*hidden^2 + hidden*classes) * bytes",
     1},
    {"1_parameters", "5824522 * 4", 0},
    // Only its own part's logits: the imbalance forgotten.
    {"2_primary_card", "parameters + activations + 4 * logits", 0},
    // Gathered, but not the loss's own.
    {"2_primary_card", "parameters + activations + cards * logits", 0},
    // The last batch dropped; each rank takes all samples.
    {"3_steps_an_epoch", "floor(samples / ranks / batch)", 1},
    {"3_steps_an_epoch", "ceil(samples / batch)", 0},
    // Every batch sends.
    {"3_messages", "tensors * batches", 0},
    // The tutorials' mistakes.
    {"4_rank", "nodes * gpus + local_rank", 0},
    {"4_rank", "local_rank", 0},
    // A factor 2 forgotten; the whole tensor twice.
    {"5_ring_bytes", "(ranks - 1) / ranks * bytes", 0},
    {"5_ring_bytes", "2 * bytes", 0},
    // For any number of cards as for two.
    {"5_cable_step", "one_card_ms + gradients / bytes_a_ms", 0},
    // All of it hidden.
    {"5_cable_step", "one_card_ms", 0},
};

std::vector<std::string> all_ids() {
  std::vector<std::string> ids;
  for (const Quantity& each : all_quantities()) ids.push_back(each.id);
  return ids;
}

class EveryCell : public testing::TestWithParam<std::string> {};

TEST_P(EveryCell, GradesTheReferenceFullAndWrongOnesByTheirBand) {
  const Quantity quantity = quantity_named(GetParam());
  const std::string reference =
      read_cell(source("labs/solutions/cells/" + quantity.id + ".cell")).formula;
  const std::vector<MeasuredCase> cases = quantity.measure();
  ASSERT_GE(cases.size(), 2u);
  const Judgement judgement = judge(reference, quantity, cases);
  EXPECT_EQ(judgement.points, kFullPoints) << "off by " << judgement.worst;
  for (const Wrong& wrong : kWrong) {
    if (wrong.id != quantity.id) continue;
    EXPECT_EQ(judge(wrong.formula, quantity, cases).points, wrong.points)
        << wrong.formula;
  }
  // What is right in one case alone has no points.
  const std::string constant = std::to_string(cases.front().measured);
  EXPECT_EQ(judge(constant, quantity, cases).points, 0);

  // The student's file is empty and tells all that is given; the chapter has its
  // anchor.
  const std::string cell = source("docs/cells/" + quantity.id + ".cell");
  EXPECT_EQ(read_cell(cell).formula, "");
  for (const auto& [name, value] : cases.front().given) {
    EXPECT_NE(read_text(cell).find("#   " + name), std::string::npos) << name;
  }
  const size_t hash = quantity.read.find('#');
  const std::string chapter =
      read_text(source("docs/" + quantity.read.substr(0, hash)));
  EXPECT_NE(chapter.find("<a id=\"" + quantity.read.substr(hash + 1) + "\"></a>"),
            std::string::npos)
      << quantity.read;
  EXPECT_NE(chapter.find("cells/" + quantity.id + ".cell"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Of, EveryCell, testing::ValuesIn(all_ids()),
                         [](const auto& info) { return "Chapter" + info.param; });

// One that costs nothing to measure.
Quantity twice() {
  return {"twice", "", "", 0.01, 0.1, [] {
            return std::vector<MeasuredCase>{{"one", {{"a", 1}}, 2},
                                             {"two", {{"a", 2}}, 4}};
          }};
}

TEST(Formula, HasThePointsOfItsWorstCase) {
  const auto points = [](const std::string& formula) {
    return judge(formula, twice(), twice().measure()).points;
  };
  EXPECT_EQ(points("2 * a"), 2);
  EXPECT_EQ(points("2.01 * a"), 2);
  EXPECT_EQ(points("2.1 * a"), 1);
  EXPECT_EQ(points("1.79 * a"), 0);
  EXPECT_EQ(points("min(2 * a, 3.7)"), 1);
  EXPECT_EQ(points("max(2 * a, 2.1)"), 1);  // the first case is the worst
  EXPECT_EQ(points("2"), 0);
}

TEST(Formula, IsRefusedInOneLine) {
  for (const auto& [formula, word] :
       std::vector<std::pair<std::string, std::string>>{{"2 * b", "\"b\""},
                                                        {"2 *", "formula: "},
                                                        {"2, 4", "1,000"},
                                                        {"1 / (a - a)", "divided"},
                                                        {"a a", "formula: "}}) {
    const std::string error =
        error_of([&, &text = formula] { judge(text, twice(), twice().measure()); });
    EXPECT_NE(error.find(word), std::string::npos) << formula << ": " << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
}

TEST(CellFile, IsRefusedWithItsLine) {
  const TestFolder folder;
  const auto error = [&](const std::string& text) {
    std::ofstream(folder / "a.cell") << text;
    return error_of([&] { read_cell(folder / "a.cell"); });
  };
  EXPECT_NE(error("# only a comment\n").find("formula"), std::string::npos);
  EXPECT_NE(error("formula = 1\nformula = 2\n").find("a.cell:2:"), std::string::npos);
  EXPECT_NE(error("\nmeasured = 7\n").find("a.cell:2:"), std::string::npos);
  std::ofstream(folder / "a.cell") << "formula = a * 2 # twice\n";
  EXPECT_EQ(read_cell(folder / "a.cell").formula, "a * 2");
}

// Of the quantity that costs nothing to measure.
TEST(CellProgram, GradesFilesAndSaysWhatIsEmpty) {
  const TestFolder folder;
  std::ofstream(folder / "5_cable_step.cell") << "formula = one_card_ms\n";
  const std::string said = output_of(
      "labs/cell", {source("labs/solutions/cells/5_cable_step.cell"),
                    folder / "5_cable_step.cell", source("docs/cells/4_rank.cell")});
  EXPECT_NE(said.find("5_cable_step: 2 of 2"), std::string::npos) << said;
  EXPECT_NE(said.find("5_cable_step: 0 of 2"), std::string::npos) << said;
  EXPECT_NE(said.find("read docs/5_measuring_and_predicting.md#by-hand"),
            std::string::npos);
  EXPECT_NE(said.find("4_rank: 0 of 2, no formula yet"), std::string::npos) << said;
  EXPECT_NE(said.find("2 of 6 points"), std::string::npos) << said;

  std::ofstream(folder / "6_none.cell") << "formula = 1\n";
  const std::string error =
      error_of([&] { output_of("labs/cell", {folder / "6_none.cell"}); });
  EXPECT_NE(error.find("no cell is called 6_none"), std::string::npos) << error;
}

}  // namespace
}  // namespace lockstep::cells
