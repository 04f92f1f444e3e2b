// Package sso logs people in through an OpenID Connect issuer: the identity
// provider of a company, such as Keycloak, Authentik, Dex, Okta or Google.
//
// A tour, in the order of a login:
//
//   - [New] takes the settings. Nothing is fetched before the first login; the
//     issuer's description is then kept for an hour (discovery.go).
//   - [Client.Begin] makes an [Attempt], which the caller keeps in the browser
//     under seal, and the address to send the browser to. The attempt holds
//     the state that comes back, the nonce that the ID token must name, and the
//     verifier of PKCE (RFC 7636), so that a code is of use only to the browser
//     that began.
//   - [Client.Finish] takes what came back. It exchanges the code, verifies the
//     ID token's signature by the issuer's keys, under the algorithms listed
//     there alone, and its issuer, audience, end and nonce, and gives an
//     [Identity], whose address the issuer vouches for (login.go, identity.go).
//   - [GroupRoles] says which role in the dashboard a group of the issuer's has
//     (roles.go).
//
// Everything is fetched under the rule against private addresses, without
// following redirects, and at most 1 MiB of an answer is read (http.go).
package sso
