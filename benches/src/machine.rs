//! What the numbers were measured on.

/// The processor's name and how many of its threads this process may use.
pub fn describe() -> String {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| model_name(&text));
    match model {
        Some(model) => format!("{threads} × {model}"),
        None => format!("{threads} processors ({})", std::env::consts::ARCH),
    }
}

fn model_name(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::model_name;

    #[test]
    fn the_model_is_read_from_the_kernel() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: other\n";
        assert_eq!(model_name(text).as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(model_name("processor : 0\n"), None);
    }
}
