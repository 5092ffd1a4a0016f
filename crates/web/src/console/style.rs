//! How text looks: colours and attributes, as escapes switch them (ECMA-48, and what xterm adds), as classes of CSS.
//!
//! Pages have no inline styles, so that there are 16 colours; the nearest of them stands for any other.

/// The 16 colours of a terminal, by the names that classes are made of.
const NAMES: [&str; 16] = [
    "black",
    "red",
    "green",
    "yellow",
    "blue",
    "magenta",
    "cyan",
    "white",
    "bright-black",
    "bright-red",
    "bright-green",
    "bright-yellow",
    "bright-blue",
    "bright-magenta",
    "bright-cyan",
    "bright-white",
];

/// The same colours as xterm has them: red, green, blue.
const PALETTE: [[u8; 3]; 16] = [
    [0, 0, 0],
    [205, 0, 0],
    [0, 205, 0],
    [205, 205, 0],
    [0, 0, 238],
    [205, 0, 205],
    [0, 205, 205],
    [229, 229, 229],
    [127, 127, 127],
    [255, 0, 0],
    [0, 255, 0],
    [255, 255, 0],
    [92, 92, 255],
    [255, 0, 255],
    [0, 255, 255],
    [255, 255, 255],
];

/// Each attribute is a bit, in the order of these classes.
const ATTRIBUTES: [&str; 5] = ["a-bold", "a-dim", "a-italic", "a-underline", "a-struck"];
const BOLD: u8 = 1;
const DIM: u8 = 2;
const ITALIC: u8 = 4;
const UNDERLINE: u8 = 8;
const STRUCK: u8 = 16;
/// Has no class of its own: it exchanges the colours.
const INVERSE: u8 = 32;
const ATTRIBUTES_ALL: u8 = 63;

/// How text looks. The default is plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Below 16.
    foreground: Option<u8>,
    /// Below 16.
    background: Option<u8>,
    attributes: u8,
}

impl Style {
    /// The style as a number that [`Self::unpack`] reads back.
    pub(super) fn pack(self) -> u32 {
        let colour = |colour: Option<u8>| u32::from(colour.unwrap_or(16));
        colour(self.foreground) | colour(self.background) << 8 | u32::from(self.attributes) << 16
    }

    pub(super) fn unpack(number: u32) -> Option<Self> {
        let [foreground, background, attributes, 0] = number.to_le_bytes() else { return None };
        if foreground > 16 || background > 16 || attributes > ATTRIBUTES_ALL {
            return None;
        }
        let colour = |number: u8| Some(number).filter(|number| *number < 16);
        Some(Self { foreground: colour(foreground), background: colour(background), attributes })
    }

    /// The classes, separated by spaces: `a-red`, `a-on-red`, `a-bold` and the like. Where colours are exchanged and
    /// one of them is none, `a-base` is text in the colour of the page and `a-on-base` the ground in the colour of
    /// its text.
    pub(super) fn push_classes(self, out: &mut String) {
        let mut push = |prefix: &str, name: &str| {
            if !out.ends_with('"') {
                out.push(' ');
            }
            out.push_str(prefix);
            out.push_str(name);
        };
        let inverse = self.attributes & INVERSE != 0;
        let name = |colour: Option<u8>| match colour {
            Some(colour) => Some(NAMES[usize::from(colour)]),
            None => inverse.then_some("base"),
        };
        let (foreground, background) =
            if inverse { (self.background, self.foreground) } else { (self.foreground, self.background) };
        if let Some(name) = name(foreground) {
            push("a-", name);
        }
        if let Some(name) = name(background) {
            push("a-on-", name);
        }
        for (bit, class) in ATTRIBUTES.iter().enumerate() {
            if self.attributes & 1 << bit != 0 {
                push("", class);
            }
        }
    }

    /// Follows a change of colours with these parameters. Unknown ones change nothing.
    pub(super) fn apply(&mut self, parameters: &[u8]) {
        let mut groups = parameters.split(|byte| *byte == b';');
        while let Some(group) = groups.next() {
            let mut parts = group.split(|byte| *byte == b':');
            let code = parts.next().and_then(number);
            let details: Vec<Option<u8>> = parts.map(number).collect();
            match code {
                Some(target @ (38 | 48 | 58)) => {
                    let colour = if details.is_empty() { listed_colour(&mut groups) } else { colour(&details) };
                    match (target, colour) {
                        (38, Some(colour)) => self.foreground = Some(colour),
                        (48, Some(colour)) => self.background = Some(colour),
                        // The colour of the underline, or none that we know.
                        (_, _) => {}
                    }
                }
                Some(4) if details == [Some(0)] => self.attributes &= !UNDERLINE,
                Some(code) => self.apply_code(code),
                None => {}
            }
        }
    }

    fn apply_code(&mut self, code: u8) {
        match code {
            0 => *self = Self::default(),
            1 => self.attributes |= BOLD,
            2 => self.attributes |= DIM,
            3 => self.attributes |= ITALIC,
            4 | 21 => self.attributes |= UNDERLINE,
            7 => self.attributes |= INVERSE,
            9 => self.attributes |= STRUCK,
            22 => self.attributes &= !(BOLD | DIM),
            23 => self.attributes &= !ITALIC,
            24 => self.attributes &= !UNDERLINE,
            27 => self.attributes &= !INVERSE,
            29 => self.attributes &= !STRUCK,
            30..=37 => self.foreground = Some(code - 30),
            39 => self.foreground = None,
            40..=47 => self.background = Some(code - 40),
            49 => self.background = None,
            90..=97 => self.foreground = Some(code - 90 + 8),
            100..=107 => self.background = Some(code - 100 + 8),
            // Blinking, fonts and frames, and hidden text: what was printed is to be seen.
            _ => {}
        }
    }
}

/// An empty parameter is zero; one above 255 is none.
fn number(digits: &[u8]) -> Option<u8> {
    if digits.is_empty() { Some(0) } else { str::from_utf8(digits).ok()?.parse().ok() }
}

/// `5;n` or `2;r;g;b`, as most programs write it.
fn listed_colour<'a>(groups: &mut impl Iterator<Item = &'a [u8]>) -> Option<u8> {
    let mut next = || groups.next().and_then(number);
    match next()? {
        5 => Some(indexed(next()?)),
        2 => Some(nearest([next()?, next()?, next()?])),
        _ => None,
    }
}

/// `5:n`, `2:r:g:b` or, as the standard has it, `2:space:r:g:b`.
fn colour(details: &[Option<u8>]) -> Option<u8> {
    match *details {
        [Some(5), Some(index), ..] => Some(indexed(index)),
        [Some(2), Some(red), Some(green), Some(blue)] | [Some(2), _, Some(red), Some(green), Some(blue), ..] => {
            Some(nearest([red, green, blue]))
        }
        _ => None,
    }
}

/// Of xterm's 256 colours: 16, a cube of 6 × 6 × 6, and 24 greys.
fn indexed(index: u8) -> u8 {
    match index {
        0..16 => index,
        16..232 => {
            let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            let cube = index - 16;
            nearest([level(cube / 36), level(cube / 6 % 6), level(cube % 6)])
        }
        232.. => nearest([8 + 10 * (index - 232); 3]),
    }
}

fn nearest(colour: [u8; 3]) -> u8 {
    let mut best = (0, u32::MAX);
    for (number, candidate) in (0..).zip(PALETTE) {
        let distance = candidate.iter().zip(colour).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum();
        if distance < best.1 {
            best = (number, distance);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(changes: &[&str]) -> String {
        let mut style = Style::default();
        changes.iter().for_each(|change| style.apply(change.as_bytes()));
        assert_eq!(Style::unpack(style.pack()), Some(style));
        let mut out = String::from('"');
        style.push_classes(&mut out);
        out.split_off(1)
    }

    #[test]
    fn the_16_colours_and_attributes() {
        assert_eq!(classes(&["31"]), "a-red");
        assert_eq!(classes(&["1;32;44"]), "a-green a-on-blue a-bold");
        assert_eq!(
            classes(&["90;107", "3;4;9;2"]),
            "a-bright-black a-on-bright-white a-dim a-italic a-underline a-struck"
        );
        assert_eq!(classes(&["1;4;31", "22;24;39"]), "");
        assert_eq!(classes(&["1;31;44", ""]), "");
        assert_eq!(classes(&["31;999;1000000000000;x;6;8"]), "a-red");
        assert_eq!(classes(&["4:3"]), "a-underline");
        assert_eq!(classes(&["4", "4:0"]), "");
    }

    #[test]
    fn inverse_exchanges_the_colours() {
        assert_eq!(classes(&["7;31;44"]), "a-blue a-on-red");
        assert_eq!(classes(&["7"]), "a-base a-on-base");
        assert_eq!(classes(&["7;31"]), "a-base a-on-red");
        assert_eq!(classes(&["7;31;27"]), "a-red");
    }

    #[test]
    fn other_colours_become_the_nearest() {
        assert_eq!(classes(&["38;5;9;48;5;16"]), "a-bright-red a-on-black");
        assert_eq!(classes(&["38;5;196"]), "a-bright-red");
        assert_eq!(classes(&["38;5;244"]), "a-bright-black");
        assert_eq!(classes(&["38;2;250;250;250;1"]), "a-bright-white a-bold");
        assert_eq!(classes(&["38:2:0:200:0"]), "a-green");
        assert_eq!(classes(&["38:2::0:0:230;48:5:1"]), "a-blue a-on-red");
        assert_eq!(classes(&["58;5;1;32"]), "a-green", "the colour of an underline");
        assert_eq!(classes(&["38;5"]), "");
        assert_eq!(classes(&["38;2;1;2"]), "");
    }

    #[test]
    fn only_styles_are_unpacked() {
        for bad in [17, 17 << 8, 64 << 16 | 0x1010, 1 << 24] {
            assert_eq!(Style::unpack(bad), None, "{bad:x}");
        }
        assert_eq!(Style::unpack(0x1010), Some(Style::default()));
    }
}
