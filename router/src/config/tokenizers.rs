//! Which tokenizer a model has: `MODEL=PATH[,...]`.

use std::path::PathBuf;

use super::{TokenizerFile, text::Refusal};

/// Reads a list.
pub(super) fn read(text: &str) -> Result<Vec<TokenizerFile>, Refusal> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let mut all: Vec<TokenizerFile> = Vec::new();
    for item in items {
        // Names of models may have a = in them; paths of tokenizers hardly ever do.
        let pair = item.rsplit_once('=').filter(|(model, path)| !model.is_empty() && !path.is_empty());
        let (model, path) = pair.ok_or_else(|| {
            format!(
                "{item:?} is not MODEL=PATH, such as qwen=/models/qwen or qwen=/models/qwen/tokenizer.json"
            )
        })?;
        if all.iter().any(|file| file.model == model) {
            return Err(format!("{model} is there twice"));
        }
        all.push(TokenizerFile { model: model.to_owned(), path: PathBuf::from(path) });
    }
    Ok(all)
}

/// Writes what [`read`] reads.
pub(super) fn write(files: &[TokenizerFile]) -> String {
    let pair = |file: &TokenizerFile| format!("{}={}", file.model, file.path.display());
    files.iter().map(pair).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokenizer_has_a_model_and_a_path() {
        let text = "Qwen/Qwen3=/models/qwen,odd=name=/x/tokenizer.json";
        let files = read(text).expect("two");
        assert_eq!(files[1], TokenizerFile { model: "odd=name".into(), path: "/x/tokenizer.json".into() });
        assert_eq!(write(&files), text);
        assert_eq!(read(""), Ok(Vec::new()));
        for (wrong, why) in [("/models/qwen", "MODEL=PATH"), ("=/a", "MODEL=PATH"), ("a=/b,a=/c", "twice")] {
            let refusal = read(wrong).expect_err(wrong);
            assert!(refusal.contains(why), "{refusal}");
        }
    }
}
