use anyhow::Result;

use crate::exchange::import::pickle::*;
use crate::hint;

fn value(bytes: &[u8]) -> Result<Pickle> {
    read(&mut &*bytes)
}

#[test]
fn values_are_read_as_they_were_pickled() {
    // pickle.dumps({"a": (1, -2, 300, 70000), "b": [None, True, 2.5], "c": 2**40}, 2)
    let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01(K\x01J\xfe\xff\xff\xffM,\x01Jp\x11\x01\x00tq\x02X\x01\x00\x00\x00bq\x03]q\x04(N\x88G@\x04\x00\x00\x00\x00\x00\x00eX\x01\x00\x00\x00cq\x05\x8a\x06\x00\x00\x00\x00\x00\x01u.";
    let found = value(bytes).unwrap();
    let get = |key| found.get(&found.root, key);
    assert_eq!(found.ints(get("a").unwrap()).unwrap(), [1, -2, 300, 70000]);
    assert_eq!(get("c").unwrap().int(), Some(1 << 40));
    let list = found.items(get("b").unwrap());
    assert!(matches!(list, [Value::None, Value::Bool(true), Value::Float(2.5)]), "{list:?}");
    assert!(get("d").is_none());
}

/// A million nested tuples, and a list that contains itself.
#[test]
fn deep_nesting_and_cycles_are_read() {
    let nested = [&b"\x80\x02N"[..], &vec![0x85; 1_000_000], b"."].concat();
    assert!(matches!(value(&nested).unwrap().root, Value::Tuple(_)));
    assert!(matches!(value(b"\x80\x02]q\x00h\x00a.").unwrap().root, Value::List(_)));
}

#[test]
fn a_call_of_another_function_is_refused_by_its_name() {
    // cos\nsystem\n(S'…' would run a command in Python.
    for bytes in
        [&b"cos\nsystem\n(X\x02\x00\x00\x00lstR."[..], b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R."]
    {
        let error = hint::render(&value(bytes).unwrap_err());
        assert!(error.contains("os.system") || error.contains("builtins.eval"), "{error}");
    }
}

#[test]
fn damaged_pickles_do_not_panic() {
    let whole = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01(K\x01J\xfe\xff\xff\xffM,\x01tq\x02h\x02X\x01\x00\x00\x00bq\x03]q\x04(N\x88G@\x04\x00\x00\x00\x00\x00\x00eu.";
    for cut in 0..whole.len() {
        assert!(value(&whole[..cut]).is_err());
    }
    let mut state = 1u32;
    for _ in 0..20_000 {
        let mut bytes = whole.to_vec();
        for _ in 0..3 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let place = (state >> 8) as usize % bytes.len();
            bytes[place] = (state >> 24) as u8;
        }
        let _ = value(&bytes);
    }
}
