//! The program that people call. It replaces itself with `amdim-stream-main`, which lies beside it, or says what is missing.
//!
//! The real program is linked with libtorch. Where libtorch is missing, the system's loader ends that program before its first
//! instruction, with a message that does not name the cure. This one needs no libtorch: it asks the loader first. It also sets what
//! libtorch's libraries read while they are loaded, so that they are loaded once.

use std::{
    env,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{self, Command},
};

/// The exit code of a program that cannot start, as `docs/reference/exit-codes.md` lists it.
const FAILED: i32 = 1;

fn main() {
    let error = match main_program() {
        Ok(program) => start(&program),
        Err(error) => error,
    };
    #[expect(clippy::print_stderr, reason = "the last words of a program that cannot start")]
    {
        eprintln!("error: {error}");
    }
    process::exit(FAILED)
}

/// The real program, in the folder of this one. Symbolic links to this one are followed.
fn main_program() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| format!("cannot tell where this program lies: {error}"))?;
    let program = own.with_file_name("amdim-stream-main");
    if program.exists() {
        return Ok(program);
    }
    Err(format!(
        "`{}` is missing\n  hint: copy `amdim-stream` and `amdim-stream-main` together; build both with `cargo build --release`",
        program.display()
    ))
}

/// Replaces this process with the program. Returns only if that fails, and then says why.
fn start(program: &Path) -> String {
    let missing = missing_libraries(program);
    if !missing.is_empty() {
        return describe(&missing);
    }
    let name = env::args_os().next().unwrap_or_else(|| program.into());
    let mut command = Command::new(program);
    if env::var_os("OMP_WAIT_POLICY").is_none() {
        command.env("OMP_WAIT_POLICY", "passive"); // as `torchkit::settle_threads` would, by a second start
    }
    let error = command.arg0(name).args(env::args_os().skip(1)).exec();
    format!("cannot start `{}`: {error}", program.display())
}

/// Shared libraries that the system's loader does not find. It is asked as `ldd` asks it, which takes about 5 ms. None if the
/// loader does not answer: starting the program then brings its own message.
fn missing_libraries(program: &Path) -> Vec<String> {
    let Ok(output) = Command::new(program).env("LD_TRACE_LOADED_OBJECTS", "1").output() else {
        return Vec::new();
    };
    let name = |line: &str| line.trim().strip_suffix("=> not found").map(|name| name.trim().to_owned());
    let mut names: Vec<_> = String::from_utf8_lossy(&output.stdout).lines().filter_map(name).collect();
    names.sort();
    names.dedup();
    names
}

/// What is missing, and the cure.
fn describe(missing: &[String]) -> String {
    let is_torch = |name: &String| name.starts_with("libtorch") || name.starts_with("libc10");
    if missing.iter().any(is_torch) {
        return format!(
            "libtorch 2.11 is missing: the loader does not find {}\n  hint: run `make setup` in the checkout, copy libtorch's `lib` folder \
             to `libtorch/lib` beside the program, or let LD_LIBRARY_PATH name it",
            missing.join(", ")
        );
    }
    format!(
        "shared libraries are missing: the loader does not find {}\n  hint: install them, or let LD_LIBRARY_PATH name their folder",
        missing.join(", ")
    )
}
