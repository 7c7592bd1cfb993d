//! A night of one's own.

use super::root;

/// A night of one's own, with one dataset and what to do when publications say too much together.
pub struct Own {
    pub folder: tempfile::TempDir,
    pub config: String,
}

impl Own {
    pub fn new(dataset: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inbox = folder.path().join("inbox");
        std::fs::create_dir(&inbox).unwrap();
        for entry in std::fs::read_dir(root().join("samples/night")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, inbox.join(path.file_name().unwrap())).unwrap();
        }
        std::fs::create_dir(folder.path().join("jeux")).unwrap();
        let text = std::fs::read_to_string(root().join("cartulaire.toml")).unwrap();
        let text = text
            .replace("\"samples/night\"", "\"inbox\"")
            .replace("\"samples/", &format!("\"{}/samples/", root().display()));
        let path = folder.path().join("cartulaire.toml");
        std::fs::write(&path, format!("{text}\n[datasets]\npath = \"jeux\"\nonly = [\"{dataset}\"]\n"))
            .unwrap();
        Own { config: path.display().to_string(), folder }
    }

    pub fn conflict(&self, dataset: &str, way: &str) {
        let shipped = std::fs::read_to_string(root().join(format!("jobs/datasets/{dataset}.toml"))).unwrap();
        let text = shipped.replace("conflict = \"keep_masks\"", &format!("conflict = \"{way}\""));
        std::fs::write(self.folder.path().join(format!("jeux/{dataset}.toml")), text).unwrap();
    }

    /// The directory a day later, without one pupil of `every`.
    pub fn some_leave(&self, every: usize) -> usize {
        let inbox = self.folder.path().join("inbox");
        let mut gone = 0;
        for entry in std::fs::read_dir(root().join("samples/night")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !name.starts_with("ENT2DEX-ENT99_Complet_20260110") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap().replace("10/01/2026", "11/01/2026");
            let text = if name.contains("_Eleve_") {
                let mut parts = text.split("<addRequest>");
                let head = parts.next().unwrap().to_owned();
                let kept = parts.enumerate().filter(|(i, p)| {
                    let leaves = i % every == 7 && !p.contains("</ficAlimMENESR>");
                    gone += usize::from(leaves);
                    !leaves
                });
                kept.fold(head, |all, (_, p)| format!("{all}<addRequest>{p}"))
            } else {
                text
            };
            std::fs::write(inbox.join(name.replace("20260110", "20260111")), text).unwrap();
        }
        gone
    }
}
