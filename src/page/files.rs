//! The page's files, built into the program.

/// The content type and bytes of a file.
pub fn get(name: &str) -> Option<(&'static str, &'static [u8])> {
    Some(match name {
        "index.html" => ("text/html", include_bytes!("files/index.html")),
        "page.css" => ("text/css", include_bytes!("files/page.css")),
        "page.js" => ("text/javascript", include_bytes!("files/page.js")),
        "osc.js" => ("text/javascript", include_bytes!("files/osc.js")),
        "detail.js" => ("text/javascript", include_bytes!("files/detail.js")),
        "lanes.js" => ("text/javascript", include_bytes!("files/lanes.js")),
        "sound.js" => ("text/javascript", include_bytes!("files/sound.js")),
        "voices.js" => ("text/javascript", include_bytes!("files/voices.js")),
        "icon.svg" | "favicon.ico" => ("image/svg+xml", include_bytes!("files/icon.svg")),
        _ => return None,
    })
}
