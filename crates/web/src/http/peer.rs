//! Where a request came from: the other end of its connection, or, where that is a proxy that the operator trusts, who
//! the proxy says it was.

use crate::app::App;
use http::HeaderMap;
use std::convert::Infallible;
use std::net::IpAddr;

/// The address of the other end of the connection; none in tests that have no connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) Option<IpAddr>);

impl axum::extract::FromRequestParts<App> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut http::request::Parts, app: &App) -> Result<Self, Infallible> {
        let Self(peer) = parts.extensions.get().copied().unwrap_or(Self(None));
        Ok(Self(peer.map(|peer| behind_proxies(peer, &parts.headers, &app.settings().trusted_proxies))))
    }
}

/// The last address that no trusted proxy has: what stands further to the left of `X-Forwarded-For` anybody may have
/// written.
fn behind_proxies(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let values = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut address = peer;
    for hop in hops.into_iter().rev() {
        if !trusted.contains(&address) {
            break;
        }
        match hop.parse::<IpAddr>() {
            Ok(next) => address = next.to_canonical(),
            Err(_) => break,
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "1.2.3.4, 192.0.2.7".parse().unwrap());
        headers.append("x-forwarded-for", "10.0.0.1".parse().unwrap());
        let (proxy, inner) = (address("127.0.0.1"), address("10.0.0.1"));
        assert_eq!(behind_proxies(proxy, &headers, &[]), proxy);
        assert_eq!(behind_proxies(proxy, &headers, &[proxy]), inner);
        assert_eq!(behind_proxies(proxy, &headers, &[proxy, inner]), address("192.0.2.7"), "not what it claims itself");
        assert_eq!(behind_proxies(proxy, &HeaderMap::new(), &[proxy]), proxy);
    }
}
