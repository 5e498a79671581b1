#include "tests/support/catch.h"

#include "data/set/csv.h"
#include "data/set/manifest.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "tests/support/temporary_folder.h"

using namespace dura;

namespace {

std::string error_of(const std::string& text, const std::vector<std::string>& rename = {}) {
  try {
    parse_manifest(text, "m.csv", rename);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("CSV fields survive quotes, commas, line breaks and Windows line ends", "[data][csv]") {
  const CsvTable table = parse_csv(
      "\xEF\xBB\xBF"
      "a,b,c\r\n1,\"x, \"\"y\"\"\r\nz\",\r\n\r\n,,3\n\"\",\"\",\"\"",
      "t.csv");
  CHECK(table.header == std::vector<std::string>{"a", "b", "c"});
  REQUIRE(table.rows.size() == 3);
  CHECK(table.rows[0].fields == std::vector<std::string>{"1", "x, \"y\"\r\nz", ""});
  CHECK(table.rows[0].line == 2);
  CHECK(table.rows[1].fields == std::vector<std::string>{"", "", "3"});
  CHECK(table.rows[1].line == 5);
  CHECK(table.rows[2].fields == std::vector<std::string>(3));
  for (const std::vector<std::string>& fields : {std::vector<std::string>{"a,b", "say \"x\"", "two\nlines", ""}, {""}, {"", ""}}) {
    const CsvTable back = parse_csv(format_csv_row(std::vector<std::string>(fields.size(), "h")) + format_csv_row(fields), "t.csv");
    REQUIRE(back.rows.size() == 1);
    CHECK(back.rows[0].fields == fields);
  }
  // Not the mark of a file: it stands in the second line.
  const CsvTable marked = parse_csv(
      "\n\xEF\xBB\xBF"
      "a,b",
      "t.csv");
  CHECK(parse_csv(format_csv_row(marked.header), "t.csv").header == marked.header);
}

TEST_CASE("malformed CSV is refused with its line", "[data][csv]") {
  CHECK_THROWS_WITH(parse_csv("", "t.csv"), Catch::Contains("t.csv") && Catch::Contains("empty"));
  CHECK_THROWS_WITH(parse_csv("\n\n", "t.csv"), Catch::Contains("empty"));
  CHECK_THROWS_WITH(parse_csv("a,b\n1,2\n1,2,3\n", "t.csv"), Catch::Contains("line 3: 3 fields"));
  CHECK_THROWS_WITH(parse_csv("a,b\n1,\"2\n3\n", "t.csv"), Catch::Contains("line 2") && Catch::Contains("never closed"));
  CHECK_THROWS_WITH(parse_csv("a,b\n\"1\"x,2\n", "t.csv"), Catch::Contains("line 2") && Catch::Contains("after the closing quote"));
  CHECK_THROWS_WITH(parse_csv(std::string("a\0b", 3), "t.csv"), Catch::Contains("no text file"));
}

TEST_CASE("a manifest keeps unknown columns and writes back what it read", "[data][manifest]") {
  const std::string text =
      "plane,file,label,split,mm_per_pixel,note\n"
      "ax,a/1.png,Glioma,train,0.49,\"x, y\"\n"
      "co,b/2.jpg,Menin,holdout,,\n";
  Manifest manifest = parse_manifest(text, "m.csv");
  CHECK(format_manifest(manifest) == text);
  CHECK(manifest.extra_columns() == std::vector<std::string>{"plane", "note"});
  CHECK(manifest.rows[0].mm_per_pixel == 0.49);
  CHECK(manifest.rows[1].mm_per_pixel == 0);
  CHECK(manifest.value(manifest.rows[1], "plane") == "co");
  CHECK_THROWS_AS(manifest.value(manifest.rows[1], "age"), UsageError);

  manifest.rows[1].patient = "P7";
  CHECK_THAT(format_manifest(manifest),
             Catch::StartsWith("plane,file,label,split,mm_per_pixel,note,patient\n") && Catch::EndsWith("b/2.jpg,Menin,holdout,,,P7\n"));

  const TemporaryFolder folder;
  write_manifest(folder / "m.csv", manifest);
  CHECK(format_manifest(read_manifest(folder / "m.csv")) == format_manifest(manifest));
}

TEST_CASE("columns of a manifest can have other names", "[data][manifest]") {
  const Manifest manifest = parse_manifest("path,class,label\nx.png,Glioma,17\n", "m.csv", {"file=path", "label=class", "group=label"});
  CHECK(manifest.rows[0].file == "x.png");
  CHECK(manifest.rows[0].label == "Glioma");
  CHECK(manifest.rows[0].group == "17");
  CHECK_THAT(error_of("path,label\nx,y\n", {"file=name"}), Catch::Contains("no column 'name'"));
  CHECK_THAT(error_of("path,label\nx,y\n", {"filename=path"}), Catch::Contains("no column 'filename'"));
  CHECK_THAT(error_of("path,label\nx,y\n", {"file"}), Catch::Contains("OURS=THEIRS"));
  CHECK_THAT(error_of("file,path,label\nx,x,y\n", {"file=path"}), Catch::Contains("two columns"));
}

TEST_CASE("a manifest with an error is refused with the line and the reason", "[data][manifest]") {
  CHECK_THAT(error_of("file,class\nx,y\n"), Catch::Contains("no column 'label'") && Catch::Contains("--column label="));
  CHECK_THAT(error_of("file;label\nx;y\n"), Catch::Contains("separated by commas"));
  CHECK_THAT(error_of("file,label,file\nx,y,z\n"), Catch::Contains("two columns are called 'file'"));
  CHECK_THAT(error_of("file,label\n"), Catch::Contains("no rows"));
  CHECK_THAT(error_of(""), Catch::Contains("empty"));
  CHECK_THAT(error_of("file,label\na.png,x\n,x\n"), Catch::Contains("line 3") && Catch::Contains("`file` is empty"));
  CHECK_THAT(error_of("file,label\na.png,\n"), Catch::Contains("line 2") && Catch::Contains("`label` is empty"));
  CHECK_THAT(error_of("file,label\na.png,x\nb.png,x\n./a.png,y\n"), Catch::Contains("line 4") && Catch::Contains("first in line 2"));
  CHECK_THAT(error_of("file,label\n/etc/passwd,x\n"), Catch::Contains("line 2") && Catch::Contains("absolute"));
  CHECK_THAT(error_of("file,label\na/../../b.png,x\n"), Catch::Contains("leads outside"));
  CHECK_THAT(error_of("file,label,mask\na.png,x,../m.png\n"), Catch::Contains("leads outside"));
  for (const char* bad : {"zero", "0", "-1", "0.5mm", "inf", "nan", "1e999"})
    CHECK_THAT(error_of(std::string("file,label,mm_per_pixel\na.png,x,") + bad + "\n"),
               Catch::Contains("line 2: mm_per_pixel is '" + std::string(bad)));
  CHECK_THROWS_WITH(read_manifest("/nonexistent/m.csv"), Catch::Contains("/nonexistent/m.csv"));
}

TEST_CASE("rows outside of train, val and test are counted and left out", "[data][manifest]") {
  const Manifest manifest = parse_manifest("file,label,split\na,x,train\nb,x,web\nc,x,test\nd,x,\ne,x,web\nf,x,Train\n", "m.csv");
  const SplitRows splits = rows_by_split(manifest);
  CHECK(splits[Split::train] == std::vector<int64_t>{0});
  CHECK(splits[Split::val].empty());
  CHECK(splits[Split::test] == std::vector<int64_t>{2});
  CHECK(splits.left_out == std::map<std::string, int64_t>{{"web", 2}, {"", 1}, {"Train", 1}});
}

TEST_CASE("labels become classes in the stated order, by name or alias in any case", "[data][manifest]") {
  const ClassNames classes({"Menin = meningioma", "Glioma"});
  CHECK(classes.find("MENINGIOMA") == 0);
  CHECK(classes.find(" menin ") == 0);
  CHECK(classes.find("glioma") == 1);
  CHECK(!classes.find("pituitary"));
  CHECK(classes.list() == "Menin, Glioma");

  const Manifest manifest = parse_manifest("file,label\na,glioma\nb,Meningioma\nc,pituitary\nd,pituitary\n", "m.csv");
  CHECK(class_indices(manifest, {0, 1}, classes, true) == std::vector<int32_t>{1, 0});
  CHECK_THROWS_WITH(class_indices(manifest, {0, 1, 2, 3}, classes, true),
                    Catch::Contains("line 4") && Catch::Contains("'pituitary'") && Catch::Contains("(2 such rows)"));
  CHECK_THROWS_WITH(class_indices(manifest, {0}, classes, true), Catch::Contains("no row of class Menin"));
  CHECK(class_indices(manifest, {0}, classes, false).size() == 1);

  CHECK_THROWS_AS(ClassNames({"Menin"}), UsageError);
  CHECK_THROWS_AS(ClassNames({"Menin", ""}), UsageError);
  CHECK_THROWS_WITH(ClassNames({"Menin=tumor", "Glioma=Tumor"}), Catch::Contains("stands for two classes"));
}

TEST_CASE("class weights reach the class of their name whatever the order", "[data][manifest]") {
  CHECK(ClassNames({"Menin=meningioma", "Glioma"}).weights({"Glioma=1", "meningioma=4"}) == std::vector<double>{4, 1});
  CHECK(ClassNames({"Glioma", "Menin=meningioma"}).weights({"Menin=4"}) == std::vector<double>{1, 4});
  const ClassNames classes({"Menin", "Glioma"});
  for (const char* bad : {"4", "Menin=", "Menin=x", "Menin=0", "Menin=-1", "Menin=nan", "Other=2", "Menin=1=2"})
    CHECK_THROWS_AS(classes.weights({bad}), UsageError);
  CHECK_THROWS_WITH(classes.weights({"Menin=4", "menin=4"}), Catch::Contains("has a weight already"));
}

TEST_CASE("a patient or a group in two splits is found", "[data][manifest]") {
  const Manifest manifest = parse_manifest(
      "file,label,split,patient,group\na,x,train,P1,g1\nb,x,test,P2,g2\nc,x,test,P1,g3\nd,x,val,P3,g2\ne,x,web,P2,g1\nf,x,train,,\ng,x,"
      "test,,\n",
      "m.csv");
  const std::vector<std::string> leaks = find_leaks(manifest, rows_by_split(manifest));
  CHECK(leaks == std::vector<std::string>{"patient P1 is in train (1), test (1)", "group g2 is in val (1), test (1)"});
  CHECK_THROWS_WITH(check_no_leak(manifest, rows_by_split(manifest)), Catch::Contains("P1") && Catch::Contains("two splits"));
  const Manifest clean = parse_manifest("file,label,split,patient\na,x,train,P1\nb,x,test,P2\n", "m.csv");
  CHECK_NOTHROW(check_no_leak(clean, rows_by_split(clean)));
}

TEST_CASE("a folder per class becomes a manifest", "[data][manifest]") {
  const TemporaryFolder folder;
  for (const char* name : {"glioma/b/2.JPG", "glioma/a.png", "meningioma/1.jpeg", "meningioma/notes.txt", "logo.png", ".cache/x/1.png"})
    folder.write(name, "x");
  const FolderScan scan = scan_folder(folder.path());
  CHECK(format_manifest(scan.manifest) == "file,label\nglioma/a.png,glioma\nglioma/b/2.JPG,glioma\nmeningioma/1.jpeg,meningioma\n");
  CHECK(scan.other_files == 2);

  const TemporaryFolder splits;
  for (const char* name : {"Training/glioma/1.png", "Testing/glioma/2.png"}) splits.write(name, "x");
  CHECK(format_manifest(scan_folder(splits.path()).manifest) ==
        "file,label,split\nTesting/glioma/2.png,glioma,test\nTraining/glioma/1.png,glioma,train\n");

  const TemporaryFolder masks;
  for (const char* name : {"images/glioma/1.jpg", "images/glioma/2.png", "masks/glioma/1.png"}) masks.write(name, "x");
  CHECK(format_manifest(scan_folder(masks.path()).manifest) ==
        "file,label,mask\nimages/glioma/1.jpg,glioma,masks/glioma/1.png\nimages/glioma/2.png,glioma,\n");
}

TEST_CASE("a folder without pictures is refused", "[data][manifest]") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(scan_folder(folder.path()), Catch::Contains("no PNG or JPEG files"));
  const std::string file = folder.write("x.png", "x");
  CHECK_THROWS_WITH(scan_folder(folder.path()), Catch::Contains("(1 other files)"));
  CHECK_THROWS_WITH(scan_folder(file), Catch::Contains("this is a file"));
  CHECK_THROWS_WITH(scan_folder(folder / "missing"), Catch::Contains("no such folder"));
}
