//! docs/faults.md says of each fault by which test it is held. Each of them is there, and nothing that is here is not told.

use std::path::Path;

use crate::threats::{missing, named};

#[test]
fn every_fault_of_the_page_has_its_test_and_every_test_its_fault() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/faults.md")).unwrap();
    assert_eq!(missing(&root, &page), Vec::<String>::new());
    let told: Vec<(&str, Option<&str>)> = named(&page);
    for entry in std::fs::read_dir(root.join("tests/it/faults")).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("faults/{}", path.file_name().unwrap().to_str().unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        for test in text.split("\n#[tokio::test").skip(1) {
            let test = test.split_once("async fn ").and_then(|(_, rest)| rest.split_once('(')).unwrap().0;
            assert!(told.contains(&(name.as_str(), Some(test))), "docs/faults.md does not tell of {name}::{test}");
        }
    }
}
