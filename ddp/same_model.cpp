#include "ddp/same_model.h"

#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace lockstep::ddp {
namespace {

using Lines = std::vector<std::string>;

// One line each: "parameter 1.weight: Float [256, 784]".
std::string description(const Network& model) {
  std::ostringstream text;
  const auto describe = [&](const char* kind, const auto& named) {
    for (const auto& item : named) {
      const at::Tensor& tensor = item.value();
      text << kind << " " << item.key() << ": " << tensor.scalar_type() << " "
           << tensor.sizes() << (tensor.requires_grad() ? "" : ", not trained") << "\n";
    }
  };
  describe("parameter", model->named_parameters());
  describe("buffer", model->named_buffers());
  return text.str();
}

Lines lines_of(const std::string& text) {
  Lines lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string line_or_none(const Lines& lines, size_t i) {
  return i < lines.size() ? lines[i] : "nothing more";
}

}  // namespace

void check_same_model(const Network& model, comm::ProcessGroup& group,
                      int64_t first_step) {
  const std::vector<std::string> all =
      group.all_gather(std::to_string(first_step) + "\n" + description(model));
  for (size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    const Lines mine = lines_of(all[rank]);
    const Lines wanted = lines_of(all[0]);
    if (mine[0] != wanted[0]) {
      throw std::runtime_error("rank " + std::to_string(rank) + " begins after step " +
                               mine[0] + " and rank 0 after step " + wanted[0] +
                               "; give a --checkpoint folder that all machines see");
    }
    size_t i = 0;
    while (line_or_none(mine, i) == line_or_none(wanted, i)) ++i;
    throw std::runtime_error(
        "rank " + std::to_string(rank) + " trains another model than rank 0: it has " +
        line_or_none(mine, i) + " where rank 0 has " + line_or_none(wanted, i) +
        "; give all ranks the same --model and --precision");
  }
}

}  // namespace lockstep::ddp
