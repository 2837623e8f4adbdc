// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Disk images of a described system.

use super::*;
use parzelle_resolve::check::check_text;
use parzelle_resolve::environment::{Crates, Environment, Metadata, Package};
use parzelle_resolve::render::{Style, text};

/// A folder that is gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("parzelle-disks-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn system(folder: &Path, disks: &str) -> System {
    let package = |name: &str| Package {
        name: name.to_owned(),
        manifest: PathBuf::from(format!("{name}/Cargo.toml")),
        bins: vec![name.to_owned()],
        features: Vec::new(),
        metadata: Metadata { serves: vec!["block".to_owned()], ..Metadata::default() },
    };
    let crates = Crates::Fixed(["hello", "block", "console"].map(package).to_vec());
    let env = Environment::with_crates(crate::house::root(), crates);
    let description = format!(
        "[system]\nboards = [\"qemu-virt-aarch64\"]\n[partition.hello]\ncrate = \"hello\"\n\
         [partition.block]\ncrate = \"block\"\ndevices = [\"disk0\"]\ndma = \"trusted\"\n{disks}"
    );
    let mut outcome = check_text("store.toml", description, folder, &env);
    assert_eq!(outcome.errors(), 0, "{}", text(&outcome, Style::Plain));
    outcome.systems.remove(0)
}

const DISKS: &str = "[disk.root]\ndevice = \"disk0\"\nwriters = [\"hello\"]\ncontent = \"root.bin\"\n\
                     [disk.log]\ndevice = \"disk0\"\nwriters = [\"hello\"]\nsize = \"3MiB\"\ngpt = \"The Log\"\n";

#[test]
fn partitions_hold_their_content_and_twice_the_same_comes_out() {
    let folder = Folder::new("gpt");
    let mut content = vec![0; 300 << 10];
    content[..4].copy_from_slice(b"root");
    content[299 << 10] = 7;
    std::fs::write(folder.0.join("root.bin"), &content).unwrap();
    let system = system(&folder.0, DISKS);
    let image = folder.0.join("board.img");
    let paths = write(&system, &image).unwrap();
    assert_eq!(paths, [folder.0.join("board.disk0.img")]);
    let first = std::fs::read(&paths[0]).unwrap();
    assert_eq!(first.len(), 6 << 20, "a table, 3 MiB of log, 1 MiB of root, the table again");
    let disk = gpt::disk::read_disk(&paths[0]).unwrap();
    assert_eq!(disk.primary_header().unwrap().disk_guid, disk.backup_header().unwrap().disk_guid);
    let found: Vec<_> = disk.partitions().values().filter(|p| p.is_used()).collect();
    let names: Vec<&str> = found.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["The Log", "root"]);
    assert_eq!((found[0].first_lba, found[0].last_lba, found[1].first_lba), (2048, 8191, 8192));
    assert_eq!(first[4 << 20..][..content.len()], content);
    assert_eq!(first[0x1fe..0x200], [0x55, 0xaa]);
    // What was written into it stays until something changes.
    let mut file = File::options().write(true).open(&paths[0]).unwrap();
    file.seek(SeekFrom::Start(2 << 20)).unwrap();
    file.write_all(b"kept").unwrap();
    write(&system, &image).unwrap();
    assert_eq!(std::fs::read(&paths[0]).unwrap()[2 << 20..][..4], *b"kept");
    std::fs::remove_file(paths[0].with_extension("img.note")).unwrap();
    write(&system, &image).unwrap();
    assert!(std::fs::read(&paths[0]).unwrap() == first, "the same bytes again");
}

#[test]
fn ranges_need_no_table() {
    let folder = Folder::new("raw");
    std::fs::write(folder.0.join("root.bin"), b"root").unwrap();
    let disks = "[disk.root]\ndevice = \"disk0\"\nwriters = [\"hello\"]\ncontent = \"root.bin\"\n\
                 range = \"0x10_0000+2MiB\"\n";
    let paths = write(&system(&folder.0, disks), &folder.0.join("board.img")).unwrap();
    let bytes = std::fs::read(&paths[0]).unwrap();
    assert_eq!((bytes.len(), &bytes[1 << 20..][..4]), (3 << 20, &b"root"[..]));
    assert!(bytes[..1 << 20].iter().all(|byte| *byte == 0));
}

#[test]
fn a_driver_without_disks_gets_an_empty_one() {
    let folder = Folder::new("empty");
    let paths = write(&system(&folder.0, ""), &folder.0.join("board.img")).unwrap();
    assert_eq!(std::fs::metadata(&paths[0]).unwrap().len(), 16 << 20);
}
