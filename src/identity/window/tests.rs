//! The window against what it promises, whatever comes.

use std::{collections::HashMap, num::NonZeroUsize};

use proptest::{collection::vec, prelude::*};

use super::*;

/// Keys as even as real ones: consecutive numbers through a mixer (`splitmix64`).
fn key(number: u64) -> Key {
    let mix = |seed: u64| {
        let n = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let n = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let n = (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        u128::from(n ^ n >> 31)
    };
    Key::from_bytes((mix(2 * number + 1) | mix(2 * number + 2) << 64).to_le_bytes())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn window(remember: u64, number: usize) -> Window {
    let config = Config {
        remember: Duration::from_secs(remember),
        remember_max: NonZeroUsize::new(number).unwrap(),
    };
    Window::new(&config, at(0))
}

fn filled(window: &mut Window, keys: u64) {
    (0..keys).for_each(|number| window.insert(key(number)));
}

#[test]
fn a_key_is_known_from_its_insertion_until_its_time_is_over() {
    let mut window = window(1000, 100);
    assert!(!window.contains(key(1)));
    window.insert(key(1));
    window.advance(at(500));
    window.insert(key(2));
    assert!(window.contains(key(1)) && window.contains(key(2)) && !window.contains(key(3)));
    window.advance(at(999));
    assert!(window.contains(key(1)));
    window.advance(at(1010));
    assert!(!window.contains(key(1)) && window.contains(key(2)));
    window.advance(at(1510));
    assert!(window.is_empty() && !window.contains(key(2)));
}

#[test]
fn a_silence_does_not_prolong_what_was_before_it() {
    let mut window = window(1000, 100);
    window.insert(key(1));
    window.advance(at(900));
    window.insert(key(2));
    window.advance(at(1010));
    assert!(!window.contains(key(1)) && window.contains(key(2)));
}

#[test]
fn a_key_that_comes_again_stays_as_old_as_it_is() {
    let mut window = window(1000, 100);
    window.insert(key(1));
    window.advance(at(900));
    window.insert(key(1));
    assert_eq!(window.len(), 1);
    window.advance(at(1010));
    assert!(!window.contains(key(1)));
    window.insert(key(1));
    assert!(window.contains(key(1)));
}

#[test]
fn a_full_window_forgets_its_oldest_hundredth() {
    let mut full = window(1000, 1000);
    filled(&mut full, 1000);
    assert_eq!(full.len(), 1000);
    full.insert(key(1000));
    assert_eq!(full.len(), 991);
    assert!((0..10).all(|number| !full.contains(key(number))));
    assert!((10..=1000).all(|number| full.contains(key(number))));
    let mut one = window(1000, 1);
    filled(&mut one, 5);
    assert!(one.len() == 1 && one.contains(key(4)));
}

#[test]
fn time_does_not_go_back() {
    let mut window = window(1000, 100);
    window.advance(at(900));
    window.insert(key(1));
    window.advance(at(-5000));
    window.insert(key(2));
    window.advance(at(1890));
    assert!(window.contains(key(1)) && window.contains(key(2)));
}

#[test]
fn a_remembered_key_costs_less_than_32_bytes_with_all_spare_room() {
    const NUMBER: usize = 50_000;
    let mut window = window(1000, NUMBER);
    let mut next = 0;
    let mut most = 0;
    // Filling it for the first time, and then three times over, as time passes too.
    for second in 0..4000 {
        window.advance(at(second));
        for _ in 0..NUMBER / 1000 {
            window.insert(key(next));
            next += 1;
        }
        if window.len() >= NUMBER / 10 {
            most = most.max(window.bytes() * 100 / window.len());
        }
    }
    assert!(most <= 3200, "{most} hundredths of a byte");
    for number in (0..next).rev() {
        let age = next - number;
        let known = window.contains(key(number));
        assert!(known || age > NUMBER as u64 * 99 / 100, "{age} others are younger");
        assert!(!known || age <= NUMBER as u64, "{age} others are younger");
    }
    // Silence gives the room back.
    for second in (4000..6000).step_by(10) {
        window.advance(at(second));
    }
    assert_eq!(window.len(), 0);
    assert!(window.bytes() < NUMBER, "{} bytes", window.bytes());
}

#[test]
fn what_is_expected_has_room_from_the_beginning() {
    const NUMBER: usize = 200_000;
    for (expected, inserted) in [(NUMBER, NUMBER), (NUMBER / 2, NUMBER / 2), (usize::MAX, NUMBER)] {
        let mut window = window(1000, NUMBER);
        window.expect(expected);
        let room = window.bytes();
        assert!(room <= 32 * inserted, "{room} bytes for {inserted}");
        for number in 0..inserted as u64 {
            window.insert(key(number));
        }
        assert_eq!(window.bytes(), room, "no table has grown");
        assert!((0..inserted as u64).all(|number| window.contains(key(number))));
    }
}

#[test]
fn shards_are_rebuilt_one_at_a_time_and_in_time() {
    const NUMBER: usize = 1_000_000;
    let mut window = window(1000, NUMBER);
    assert!(window.turn() > 4);
    for number in 0..=5 * NUMBER as u64 / 100 {
        let (owed, slices) = (window.owed, window.slices.len());
        window.insert(key(number));
        if window.slices.len() > slices {
            assert_eq!(owed, 0, "nothing is left when the next slice begins");
            assert_eq!(window.owed, window.turn() - 1);
        } else {
            assert!(owed - window.owed <= 1);
        }
    }
    // In silence too.
    let owed = window.owed;
    for second in 0..window.turn() as i64 {
        window.advance(at(second % 9));
    }
    assert!(owed > 0 && window.owed == 0);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u16>),
    /// One flight meets keys.
    Meet(u32, Vec<u16>),
    /// It lets them go.
    Release(u32, Vec<u16>),
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => vec(0..600_u16, 0..60).prop_map(Step::Insert),
        2 => (0..3_u32, vec(0..600_u16, 0..60)).prop_map(|(flight, keys)| Step::Meet(flight, keys)),
        1 => (0..3_u32, vec(0..600_u16, 0..60)).prop_map(|(flight, keys)| Step::Release(flight, keys)),
        2 => (0..40_i64).prop_map(Step::Pass),
        1 => (0..2000_i64).prop_map(Step::Pass),
    ];
    vec(step, 1..150)
}

const REMEMBER: i64 = 1000;
const NUMBER: usize = 300;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// Many more slices pass than there are names for.
    #[test]
    fn it_knows_what_a_naive_window_knows(steps in steps()) {
        let mut window = window(REMEMBER.unsigned_abs(), NUMBER);
        // When each key was inserted, and how many were by then.
        let mut inserted: HashMap<u16, (i64, usize)> = HashMap::new();
        let mut flying: HashMap<u16, Owner> = HashMap::new();
        let (mut now, mut count, mut index) = (0, 0, 0);
        for step in steps {
            match step {
                Step::Pass(seconds) => {
                    now += seconds;
                    window.advance(at(now));
                }
                Step::Insert(keys) => {
                    for number in keys {
                        let known = window.contains(key(u64::from(number)));
                        window.insert(key(u64::from(number)));
                        prop_assert!(window.contains(key(u64::from(number))));
                        if !known {
                            count += 1;
                            inserted.insert(number, (now, count));
                        }
                        flying.remove(&number);
                    }
                }
                Step::Meet(flight, keys) => {
                    let few: Vec<_> = keys.iter().map(|number| key(u64::from(*number))).collect();
                    window.touch(&few);
                    for number in keys {
                        let known = window.contains(key(u64::from(number)));
                        index += 1;
                        let owner = Owner { flight, index };
                        let met = window.meet(key(u64::from(number)), Some(owner));
                        match (known, flying.get_mut(&number)) {
                            (true, _) => prop_assert_eq!(met, Met::Remembered),
                            (false, Some(before)) => {
                                prop_assert_eq!(&met, &Met::Flying(before));
                                // Now and then one takes it over.
                                if let Met::Flying(now) = met && index % 4 == 0 {
                                    (*now, *before) = (owner, owner);
                                }
                            }
                            (false, None) => {
                                prop_assert_eq!(met, Met::Absent);
                                flying.insert(number, owner);
                            }
                        }
                    }
                }
                Step::Release(flight, keys) => {
                    for number in keys {
                        window.release(key(u64::from(number)), flight);
                        if flying.get(&number).is_some_and(|owner| owner.flight == flight) {
                            flying.remove(&number);
                        }
                    }
                }
            }
            prop_assert!(window.len() <= NUMBER);
            prop_assert_eq!(window.flying(), flying.len());
            for (number, owner) in &mut flying {
                prop_assert_eq!(window.meet(key(u64::from(*number)), None), Met::Flying(owner));
            }
            let mut known = 0;
            for number in 0..600 {
                let knows = window.contains(key(u64::from(number)));
                known += usize::from(knows);
                let Some((when, nth)) = inserted.get(&number) else {
                    prop_assert!(!knows, "never inserted");
                    continue;
                };
                let (age, younger) = (now - when, count - nth);
                // A hundredth of the time and of the number may be forgotten early or late.
                if age < REMEMBER && younger < NUMBER - NUMBER / 100 {
                    prop_assert!(knows, "{number} is {age} old, {younger} are younger");
                }
                if age >= REMEMBER + REMEMBER / 100 || younger >= NUMBER {
                    prop_assert!(!knows, "{number} is {age} old, {younger} are younger");
                }
            }
            prop_assert_eq!(known, window.len());
        }
    }
}
