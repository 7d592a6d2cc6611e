//! The program that users start. It replaces itself with `amdim-stream-main` in the same folder, or says
//! which library is missing.
//!
//! The main program is linked with libtorch. Without libtorch, the system's loader ends it before its first
//! instruction, with a message that names no cure. The launcher is not linked with libtorch and asks the
//! loader first. It also sets the environment variables that libtorch's libraries read while they are loaded,
//! so that the main program need not start itself again.

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

/// Returns the path of the main program, in the folder of this one. Symbolic links to this one are followed.
fn main_program() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| format!("cannot find the path of this program: {error}"))?;
    let program = own.with_file_name("amdim-stream-main");
    if program.exists() {
        return Ok(program);
    }
    Err(format!(
        "`{}` is missing\n  hint: copy `amdim-stream` and `amdim-stream-main` together; build both with `cargo build --release`",
        program.display()
    ))
}

/// Replaces this process with the main program. Returns only if that fails, with the message.
fn start(program: &Path) -> String {
    let missing = missing_libraries(program);
    if !missing.is_empty() {
        return describe(&missing);
    }
    let name = env::args_os().next().unwrap_or_else(|| program.into());
    let mut command = Command::new(program);
    if env::var_os("OMP_WAIT_POLICY").is_none() {
        command.env("OMP_WAIT_POLICY", "passive"); // otherwise `torchkit::settle_threads` starts the program again
    }
    let error = command.arg0(name).args(env::args_os().skip(1)).exec();
    format!("cannot start `{}`: {error}", program.display())
}

/// Returns the names of the shared libraries that the system's loader does not find. Asks it in the way of
/// `ldd`, which takes about 5 ms. Returns no names if the loader does not answer: starting the program then
/// prints the loader's message.
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

/// Returns the message about missing libraries, with its hint.
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
