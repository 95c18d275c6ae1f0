//! How many connections one peer has, so that none takes the places of all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The open connections of every peer that has any. No more entries than there are connections.
#[derive(Default)]
pub(crate) struct Peers(Mutex<HashMap<IpAddr, usize>>);

/// One connection of a peer, until it is dropped.
pub(crate) struct Place {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Peers {
    /// None: this peer has `most` already.
    pub(crate) fn take(self: &Arc<Peers>, address: IpAddr, most: usize) -> Option<Place> {
        let peer = peer_of(address);
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(&peer).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        open.insert(peer, count + 1);
        Some(Place { peers: Arc::clone(self), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.peer)),
        }
    }
}

/// Who counts as one: an IPv4 address, however it is written, and a /64 of IPv6, as one host may use all of it.
fn peer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from(u128::from(six) >> 64 << 64)),
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_has_as_many_places_as_there_are_and_others_theirs() {
        let peers: Arc<Peers> = Arc::default();
        let first = peers.take(peer("192.0.2.1"), 2);
        let second = peers.take(peer("::ffff:192.0.2.1"), 2);
        assert!(first.is_some() && second.is_some());
        assert!(peers.take(peer("192.0.2.1"), 2).is_none());
        assert!(peers.take(peer("192.0.2.2"), 2).is_some());
        drop(first);
        assert!(peers.take(peer("192.0.2.1"), 2).is_some(), "a place that was left is free");
    }

    #[test]
    fn all_addresses_of_one_host_are_one_peer() {
        let peers: Arc<Peers> = Arc::default();
        let _first = peers.take(peer("2001:db8::1"), 1).unwrap();
        assert!(peers.take(peer("2001:db8::ffff:2"), 1).is_none());
        assert!(peers.take(peer("2001:db8:0:1::1"), 1).is_some());
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let peers: Arc<Peers> = Arc::default();
        let places: Vec<Place> = (0..3).filter_map(|_| peers.take(peer("127.0.0.1"), 3)).collect();
        drop(places);
        assert!(peers.0.lock().unwrap().is_empty());
    }
}
