#include "config/config.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/config_files.h"

namespace lockstep::config {
namespace {

// What a file holds, in one line: "{a = 1, b = {c = 'x'}}".
std::string spelled(const Section& section) {
  std::string line = "{";
  for (const std::string& key : section.keys()) {
    line += (line.size() > 1 ? ", " : "") + key + " = ";
    if (section.is_table(key)) {
      line += spelled(section.section(key));
      continue;
    }
    try {
      std::string list;
      for (const Section& each : section.sections(key))
        list += (list.empty() ? "" : ", ") + spelled(each);
      line += "[" + list + "]";
      continue;
    } catch (const Error&) {  // no tables
    }
    try {
      line += std::to_string(section.integer(key, 0, INT64_MIN, INT64_MAX));
    } catch (const Error&) {
      for (const std::string& text : section.texts(key)) line += "'" + text + "'";
    }
  }
  return line + "}";
}

class ConfigTest : public testing::Test {
 protected:
  std::string loaded(const std::vector<std::string>& changes = {}) {
    return spelled(load("a.toml", changes));
  }
  Folder folder_;
};

TEST_F(ConfigTest, TablesAreMergedAllElseIsReplaced) {
  write("b.toml",
        "n = 1\nt = { x = 1, y = { z = 2 } }\nl = [{ a = 1 }, { a = 2 }]\n"
        "off = { a = 1 }\non = 3\n");
  write("a.toml",
        "_base_ = 'b.toml'\nm = 2\nt.y.w = 3\nl = [{ b = 1 }]\noff = 0\n"
        "on.a = 1\n");
  EXPECT_EQ(loaded(),
            "{l = [{b = 1}], m = 2, n = 1, off = 0, on = {a = 1}, "
            "t = {x = 1, y = {w = 3, z = 2}}}");
}

TEST_F(ConfigTest, ADeletedTableIsTheFilesOwn) {
  write("b.toml", "t = { x = 1, y = { z = 2 } }\nu = 1\n");
  write("a.toml",
        "_base_ = 'b.toml'\nt = { _delete_ = true, y = { _delete_ = true, w = 3 } }\n"
        "new = { _delete_ = true, a = 1 }\nl = [{ _delete_ = true, a = 1 }]\n");
  EXPECT_EQ(loaded(), "{l = [{a = 1}], new = {a = 1}, t = {y = {w = 3}}, u = 1}");
  write("a.toml", "_base_ = 'b.toml'\nt = { _delete_ = false, y = { w = 3 } }\n");
  EXPECT_EQ(loaded(), "{t = {x = 1, y = {w = 3, z = 2}}, u = 1}");
  write("a.toml", "_base_ = 'b.toml'\n_delete_ = true\nv = 1\n");
  EXPECT_EQ(loaded(), "{v = 1}");
}

TEST_F(ConfigTest, BasesAreBesideTheFileThatNamesThem) {
  write("a.toml", "_base_ = ['one/b.toml', './two/c.toml']\n");
  write("one/b.toml", "_base_ = '../d.toml'\nx = 1\n");
  write("two/c.toml", "_base_ = '../d.toml'\nx = 2\n");  // twice is no cycle
  write("d.toml", "x = 0\ny = 0\n");
  // d.toml comes again with c.toml; nothing else of b.toml is left.
  EXPECT_EQ(loaded(), "{x = 2, y = 0}");
  write("one/a.toml", "_base_ = '../a.toml'\nz = 1\n");
  EXPECT_EQ(spelled(load("one/a.toml", {})), "{x = 2, y = 0, z = 1}");
  write("a.toml", "_base_ = []\nx = 5\n");
  EXPECT_EQ(loaded(), "{x = 5}");
  write("a.toml", "_base_ = '" + std::filesystem::absolute("d.toml").string() + "'\n");
  EXPECT_EQ(loaded(), "{x = 0, y = 0}");
}

TEST_F(ConfigTest, ALinkIsNoWayAroundACycle) {
  write("a.toml", "_base_ = 'b.toml'\n");
  std::filesystem::create_symlink("a.toml", "b.toml");
  EXPECT_EQ(refusal("a.toml"),
            "a.toml:1: _base_: b.toml stands on itself: a.toml -> b.toml");
}

TEST_F(ConfigTest, ChangesAreTomlOrAWord) {
  write("a.toml", "t = { x = 1 }\nl = [{ a = 1 }, { a = 2 }]\nns = ['1', '2']\n");
  const auto changed = [](const std::vector<std::string>& changes) {
    const std::string all = spelled(load("a.toml", changes));
    const size_t tail = all.find(", t = ");
    return all.substr(tail + 6, all.size() - tail - 7);
  };
  EXPECT_EQ(changed({}), "{x = 1}");
  EXPECT_EQ(changed({"t.x=2"}), "{x = 2}");
  EXPECT_EQ(changed({"t.y=adam"}), "{x = 1, y = 'adam'}");
  EXPECT_EQ(changed({"t.y='2'"}), "{x = 1, y = '2'}");
  EXPECT_EQ(changed({"t.y=a=b.c"}), "{x = 1, y = 'a=b.c'}");
  EXPECT_EQ(changed({"t.y="}), "{x = 1, y = ''}");
  EXPECT_EQ(changed({"t.y=it's # one"}), "{x = 1, y = 'it's # one'}");
  EXPECT_EQ(changed({"t.y=/a/b.pt"}), "{x = 1, y = '/a/b.pt'}");
  EXPECT_EQ(changed({"t.\"a.b\".c=1"}), "{a.b = {c = 1}, x = 1}");
  EXPECT_EQ(changed({"t={y=2}"}), "{x = 1, y = 2}");
  EXPECT_EQ(changed({"t={_delete_=true, y=2}"}), "{y = 2}");
  EXPECT_EQ(changed({"t=3", "t={y=2}"}), "{y = 2}");
  EXPECT_EQ(changed({"t.y={z=1}", "t.y.w=2", "t.x=5", "t.x=6"}),
            "{x = 6, y = {w = 2, z = 1}}");
  EXPECT_EQ(load("a.toml", {"ns.1=x", "ns.0=y"}).texts("ns"),
            (std::vector<std::string>{"y", "x"}));
  const Section top = load("a.toml", {"l.1.a=7", "l.0.b.c=8"});
  EXPECT_EQ(spelled(top.sections("l")[0]), "{a = 1, b = {c = 8}}");
  EXPECT_EQ(spelled(top.sections("l")[1]), "{a = 7}");
}

TEST_F(ConfigTest, MergedValuesKnowTheirPlaces) {
  write("b.toml", "\n\n[t]\nx = 1\ny = 2\n");
  write("a.toml", "_base_ = 'b.toml'\n[t]\ny = 3\n");
  const Section t = load("a.toml", {"t.z=4"}).section("t");
  const auto place = [&](const std::string& key) {
    try {
      t.fail(key, "!");
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  EXPECT_EQ(place("x"), "b.toml:4: t.x: !");
  EXPECT_EQ(place("y"), "a.toml:3: t.y: !");
  EXPECT_EQ(place("z"), "command line: t.z: !");
  // What is missing is added to the file that was asked for.
  EXPECT_EQ(place("w"), "a.toml:2: t.w: !");
}

// A plain model of the merge: paths of leaves, and of the tables that are there.
struct Model {
  std::map<std::string, std::string> leaves;
  std::set<std::string> tables;

  void erase(const std::string& path) {
    const auto is_it = [&](const std::string& other) {
      return other == path || other.starts_with(path + ".");
    };
    std::erase_if(leaves, [&](const auto& leaf) { return is_it(leaf.first); });
    std::erase_if(tables, is_it);
  }
};

// A random table, written as TOML and put over the model in one go.
class RandomTables {
 public:
  RandomTables(unsigned seed, bool drops) : random_(seed), drops_(drops) {}

  // As an inline table; `path` is its own, "" the file's.
  std::string table(Model& model, const std::string& path, int depth) {
    std::string text;
    const auto add = [&](const std::string& key, const std::string& value) {
      text += (text.empty() ? "" : path.empty() ? "\n" : ", ") + key + " = " + value;
    };
    if (!path.empty()) {
      const bool drop = drops_ && below(5) == 0;
      if (drop || model.leaves.contains(path)) model.erase(path);
      if (drop || below(8) == 0) add("_delete_", drop ? "true" : "false");
      model.tables.insert(path);
    }
    for (const std::string key : {"a", "b", "c", "d"}) {
      const std::string its = path.empty() ? key : path + "." + key;
      const int kind = below(depth > 3 ? 4 : 6);
      if (kind < 2) continue;
      if (kind < 4) {
        const std::string value = std::to_string(below(1000));
        model.erase(its);
        model.leaves[its] = value;
        add(key, value);
      } else {
        add(key, "{ " + table(model, its, depth + 1) + " }");
      }
    }
    return text;
  }
  int below(int most) { return std::uniform_int_distribution<>(0, most - 1)(random_); }

 private:
  std::mt19937 random_;
  bool drops_;
};

Model modelled(const Section& section, const std::string& path = "") {
  Model model;
  for (const std::string& key : section.keys()) {
    const std::string its = path.empty() ? key : path + "." + key;
    if (section.is_table(key)) {
      model.tables.insert(its);
      const Model beneath = modelled(section.section(key), its);
      model.leaves.insert(beneath.leaves.begin(), beneath.leaves.end());
      model.tables.insert(beneath.tables.begin(), beneath.tables.end());
    } else {
      model.leaves[its] = std::to_string(section.required_integer(key, 0, 1000));
    }
  }
  return model;
}

TEST_F(ConfigTest, RandomFilesMergeLikeThePlainModel) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    // Each on the one before, or all beneath the last. Those beside each other drop
    // nothing: `_delete_` is for what is beneath its own file.
    const bool chain = seed % 2 == 0;
    RandomTables random(seed, chain);
    Model model;
    std::string bases;
    for (int i = random.below(5); i >= 0; --i) {
      const std::string name = i == 0 ? "a.toml" : std::to_string(i) + ".toml";
      const std::string beneath = chain || i == 0 ? bases : "";
      write(name, "_base_ = [" + beneath + "]\n" + random.table(model, "", 0));
      bases = (chain ? "" : bases) + "'" + name + "', ";
    }
    std::vector<std::string> changes;
    for (int i = random.below(4); i > 0; --i) {
      const std::string table = random.table(model, "a", 1);
      changes.push_back("a={" + table + "}");
    }
    const Model found = modelled(load("a.toml", changes));
    ASSERT_EQ(found.leaves, model.leaves) << seed;
    ASSERT_EQ(found.tables, model.tables) << seed;
  }
}

}  // namespace
}  // namespace lockstep::config
