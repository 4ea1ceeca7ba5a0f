// A table of a configuration as its reader sees it: it asks key by key, with the type
// and the range it wants, and what nobody asked for is an unknown key. So the reads are
// the schema; there is no second one.
//
// Cheap to copy: copies, and what section() returns twice for a key, are the same
// table. Reads record what was asked, const or not: of one thread. (An empty one of
// nowhere has nothing to record.)
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/error.h"

namespace lockstep::config {

struct Node;

class Section {
 public:
  Section();  // empty, of nowhere
  explicit Section(Node root);

  // Each counts as asked for. `usual` is returned for a key that is not there and not
  // held to the range. What stands there and is not what was asked throws Error.
  bool has(const std::string& key) const;
  bool boolean(const std::string& key, bool usual) const;
  int64_t integer(const std::string& key, int64_t usual, int64_t least,
                  int64_t most) const;
  // An integer will do; what is not finite will not.
  double number(const std::string& key, double usual, double least, double most) const;
  std::string text(const std::string& key, const std::string& usual) const;
  std::string word(const std::string& key, const std::string& usual,
                   const std::vector<std::string>& known) const;

  // Not there: an Error that says so.
  int64_t required_integer(const std::string& key, int64_t least, int64_t most) const;
  double required_number(const std::string& key, double least, double most) const;
  std::string required_text(const std::string& key) const;

  // Not there: empty. One that is no array is an array of one.
  std::vector<int64_t> integers(const std::string& key, int64_t least,
                                int64_t most) const;
  std::vector<double> numbers(const std::string& key, double least, double most) const;
  std::vector<std::string> texts(const std::string& key) const;

  // Not there: an empty one that knows where it would be.
  Section section(const std::string& key) const;
  // An array of tables, or one table. Not there: none.
  std::vector<Section> sections(const std::string& key) const;

  bool is_table(const std::string& key) const;
  bool is_text(const std::string& key) const;
  bool is_false(const std::string& key) const;  // `hook = false` switches it off

  // What stands there, sorted. Asks for nothing.
  std::vector<std::string> keys() const;

  // Throws Error at the key's place, or at the table's where it is not there. Key "":
  // of the table itself.
  [[noreturn]] void fail(const std::string& key, const std::string& what) const;

  // Calls it. What it throws (std::exception, other than an Error) becomes an Error at
  // the key's place.
  void checked(const std::string& key, const std::function<void()>& check) const;

  // Throws Error for the first key, by its place, that nobody asked for in this table
  // or in the tables that were asked for beneath it.
  void finish() const;

 private:
  struct State;
  struct Spot;

  explicit Section(std::shared_ptr<State> state) : state_(std::move(state)) {}
  Spot spot(const std::string& key) const;
  Spot ask(const std::string& key) const;
  Spot ask_required(const std::string& key, const std::string& wanted) const;
  std::vector<Spot> ask_all(const std::string& key) const;

  std::shared_ptr<State> state_;
};

}  // namespace lockstep::config
