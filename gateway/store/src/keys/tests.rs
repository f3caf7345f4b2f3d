use jiff::Timestamp;
use tsunagi_core::id::{ExchangeId, IdentifierSystem, SubjectKey, TenantId};
use tsunagi_core::sensitive::Sensitive;

use super::cipher::{frame, framed};
use super::{KeyFault, Keyring, MasterKey, RowPlace};

fn ring(byte: u8) -> Keyring {
    Keyring::new(MasterKey::from_bytes(Sensitive::new([byte; 32])))
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

#[test]
fn a_key_file_is_raw_bytes_or_hexadecimal() {
    let raw = vec![0xAB; 32];
    let spelled = format!("{}\n", "ab".repeat(32)).into_bytes();
    let sealed = Keyring::new(MasterKey::parse(Sensitive::new(raw)).unwrap()).make_tenant_key(&tenant("aoi")).unwrap();
    let same = Keyring::new(MasterKey::parse(Sensitive::new(spelled)).unwrap());
    assert!(same.tenant(&tenant("aoi"), &sealed).is_ok());
    for bad in [&b""[..], &[1; 31], &[1; 33], &[b'g'; 64], &[b'a'; 63]] {
        assert_eq!(MasterKey::parse(Sensitive::new(bad.to_vec())).err(), Some(KeyFault::Shape));
    }
}

#[test]
fn a_wrapped_key_opens_for_its_owner_only() {
    let ring = ring(1);
    let wrapped = ring.make_tenant_key(&tenant("aoi")).unwrap();
    assert!(ring.tenant(&tenant("aoi"), &wrapped).is_ok());
    assert_eq!(ring.tenant(&tenant("kita"), &wrapped).err(), Some(KeyFault::Unreadable));
    assert_eq!(super::tests::ring(2).tenant(&tenant("aoi"), &wrapped).err(), Some(KeyFault::Unreadable));

    let keys = ring.tenant(&tenant("aoi"), &wrapped).unwrap();
    let mine = SubjectKey::new(Timestamp::UNIX_EPOCH, [1; 10]);
    let other = SubjectKey::new(Timestamp::UNIX_EPOCH, [2; 10]);
    let (data_key, _) = ring.make_subject_key(&keys, &mine).unwrap();
    assert!(ring.subject(&keys, &mine, &data_key).is_ok());
    assert_eq!(ring.subject(&keys, &other, &data_key).err(), Some(KeyFault::Unreadable));
}

#[test]
fn every_changed_byte_and_every_other_place_is_noticed() {
    let ring = ring(1);
    let keys = ring.tenant(&tenant("aoi"), &ring.make_tenant_key(&tenant("aoi")).unwrap()).unwrap();
    let exchange = ExchangeId::new(Timestamp::UNIX_EPOCH, [1; 10]);
    let place = |row| RowPlace { what: "refused row", exchange: &exchange, row };
    let sealed = keys.seal_pending(&place(1), "青葉".as_bytes()).unwrap();
    assert_eq!(keys.open_pending(&place(1), &sealed).unwrap().expose(), "青葉".as_bytes());
    assert!(keys.open_pending(&place(2), &sealed).is_err());
    assert!(keys.open_pending(&RowPlace { what: "waiting row", ..place(1) }, &sealed).is_err());
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(keys.open_pending(&place(1), &changed).is_err(), "byte {at}");
        assert!(keys.open_pending(&place(1), &sealed[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn equal_values_look_unrelated_across_systems_tenants_and_uses() {
    let ring = ring(1);
    let of = |name: &str| ring.tenant(&tenant(name), &ring.make_tenant_key(&tenant(name)).unwrap()).unwrap();
    let (aoi, kita) = (of("aoi"), of("kita"));
    let system = |name: &str| IdentifierSystem::parse(name).unwrap();
    let index = aoi.blind_index(&system("recipient"), "123").unwrap();
    assert_eq!(index, aoi.blind_index(&system("recipient"), "123").unwrap());
    assert_ne!(index, aoi.blind_index(&system("my_number"), "123").unwrap());
    assert_ne!(index, kita.blind_index(&system("recipient"), "123").unwrap());
    let subject = SubjectKey::new(Timestamp::UNIX_EPOCH, [1; 10]);
    let joined = aoi.business_key(&subject, &["ab".to_owned(), "c".to_owned()]);
    assert_ne!(joined, aoi.business_key(&subject, &["a".to_owned(), "bc".to_owned()]));
    assert_ne!(aoi.sign_in("ab", "c"), aoi.sign_in("a", "bc"));
}

#[test]
fn keys_print_nothing() {
    let master = MasterKey::from_bytes(Sensitive::new([0x5A; 32]));
    assert_eq!(format!("{master:?} {:?}", ring(1)), "MasterKey([redacted]) Keyring([redacted])");
}

#[test]
fn places_are_joined_the_same_way_with_and_without_memory() {
    for length in [0, 1, 100, 222, 223, 224, 300] {
        let long = vec![b'x'; length];
        let parts: [&[u8]; 4] = [b"record", b"", b"aoi", &long];
        let joined = frame(&parts);
        assert_eq!(joined.len(), length + 32 + 9);
        assert!(framed(&parts, |bytes| bytes == joined), "{length}");
    }
}
