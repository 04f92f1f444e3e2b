package smtp

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// hint says in a sentence or two what the owner of the provider can do.
func hint(c *Config, e *Error) string {
	if errors.Is(e, ErrPrivateAddr) {
		return fmt.Sprintf("%s leads to an address that is not on the public internet. "+
			"If that server is really yours, the operator must set allow_private_networks.", c.Host)
	}
	for _, f := range []func(*Config, *Error) string{certHint, modeHint, timeoutHint, stageHint} {
		if h := f(c, e); h != "" {
			return h
		}
	}
	return "The server broke the connection or did not speak SMTP. Check that host and port belong to a mail submission server."
}

// certHint tells the ways a certificate can be wrong apart.
func certHint(c *Config, e *Error) string {
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(e, &invalid) && invalid.Reason == x509.Expired:
		if invalid.Cert != nil {
			return fmt.Sprintf("The server's certificate is not valid at this time (valid from %s to %s). Renew it, or check the clock of this machine.",
				invalid.Cert.NotBefore.UTC().Format("2006-01-02"), invalid.Cert.NotAfter.UTC().Format("2006-01-02"))
		}
		return "The server's certificate has expired. Renew it."
	case errors.As(e, &invalid):
		return "The server's certificate does not permit this use. Install a server certificate from a public authority."
	case errors.As(e, &host):
		return fmt.Sprintf("The server's certificate is for another name (%s), not for %s. Use a host name the certificate covers.",
			certNames(host.Certificate), c.serverName())
	case errors.As(e, &unknown):
		if cert := unknown.Cert; cert != nil && bytes.Equal(cert.RawIssuer, cert.RawSubject) {
			return "The server's certificate is self-signed. Install one from a public authority, or set tlsSkipVerify if you accept the risk."
		}
		return "The server's certificate comes from an authority that is not known here, or its intermediate certificate is missing. Complete the chain, or set tlsSkipVerify if you accept the risk."
	}
	return ""
}

func certNames(cert *x509.Certificate) string {
	if cert == nil {
		return "unknown"
	}
	names := cert.DNSNames
	for _, ip := range cert.IPAddresses {
		names = append(slices.Clip(names), ip.String())
	}
	if len(names) == 0 {
		names = []string{cert.Subject.CommonName}
	}
	return bound(clean([]byte(strings.Join(names, ", "))), 200)
}

// modeHint recognises TLS where there is none and the reverse.
func modeHint(c *Config, e *Error) string {
	var record tls.RecordHeaderError
	if errors.As(e, &record) && e.Stage == StageTLS {
		if c.Security == SecurityTLS {
			return fmt.Sprintf("Port %d speaks plain SMTP first, not TLS from the start. Use smtpSecurity starttls (usual on 587 and 25), or port 465.", c.Port)
		}
		return "The server answered STARTTLS with something that is not TLS. A firewall or proxy may be in between."
	}
	var ge *garbageError
	if errors.As(e, &ge) && len(ge.head) > 1 && (ge.head[0] == 0x15 || ge.head[0] == 0x16) && ge.head[1] == 3 {
		return fmt.Sprintf("Port %d expects TLS from the first byte. Use smtpSecurity tls.", c.Port)
	}
	var op *net.OpError
	if errors.As(e, &op) && op.Op == "remote error" && e.Stage == StageTLS {
		return fmt.Sprintf("The server broke off the TLS handshake (%v). Look at its log: its certificate, its key or its TLS versions may be at fault; it must speak TLS 1.2 or newer.", op.Err)
	}
	switch {
	case e.Stage == StageBanner && c.Security != SecurityTLS && e.Class == ClassTimeout:
		return fmt.Sprintf("The server took the connection on port %d but sent no greeting. "+
			"If the port expects TLS from the start (usual on 465), use smtpSecurity tls; otherwise the server delays or blocks this address.", c.Port)
	case e.Stage == StageTLS && c.Security == SecurityTLS && e.Reply == nil && e.Class == ClassTLSFailed:
		return "The TLS handshake failed. Check that this port expects TLS from the start and that the server speaks TLS 1.2 or newer."
	case errors.Is(e, ErrNoStartTLS):
		return "The server does not offer STARTTLS on this port. Use port 587, or smtpSecurity tls on port 465."
	case e.Stage == StageTLS && e.Class == ClassTLSFailed:
		return "The TLS handshake failed. Check that the server speaks TLS 1.2 or newer."
	}
	return ""
}

func timeoutHint(c *Config, e *Error) string {
	if e.Class != ClassTimeout {
		return ""
	}
	if e.Stage == StageResolve {
		return "The name server did not answer. Try again, and check the resolver of this machine."
	}
	if e.Stage == StageConnect {
		return fmt.Sprintf("Nothing answered on port %d. A firewall is probably in between: many networks block port 25 outbound, so try 587 or 465, and allow this machine's address.", c.Port)
	}
	return fmt.Sprintf("The server stopped answering at step %s. It may be overloaded or hold back unknown clients; try again, and look at its log.", stepNames[e.Stage])
}

// stageHint covers the refusals.
func stageHint(c *Config, e *Error) string {
	switch e.Class {
	case ClassDNSFailure:
		return fmt.Sprintf("The name %s could not be resolved. Check its spelling and that it has an A or AAAA record.", c.Host)
	case ClassConnectionRefused:
		if e.Stage == StageBanner {
			return "The server refuses connections from this machine's address. Allow it there, or use the submission port (587 or 465)."
		}
		return fmt.Sprintf("Nothing listens on port %d of %s, or a firewall rejects it. Check host and port.", c.Port, c.Host)
	case ClassTLSFailed:
		return "The server refused to start TLS. Look at its TLS configuration, or use port 465 with smtpSecurity tls."
	case ClassAuthRejected:
		return "The server rejected user name or password. Check both; some services want an API key or an app password instead of the account's password."
	case ClassAuthUnsupported:
		return authHint(e)
	case ClassMailFailed:
		if e.Reply != nil && e.Reply.Code == 530 {
			return demandHint(c, e)
		}
		return "The server does not accept this sender. Use a sender address of a domain that is verified there, or authenticate."
	case ClassRcptFailed:
		return rcptHint(c, e)
	case ClassDataFailed:
		return "The server accepted sender and recipient but not the message. Its text says why; common reasons are content rules, size and an unverified From domain."
	case ClassTimeout, ClassProtocol:
	}
	return ""
}

func authHint(e *Error) string {
	if errors.Is(e, ErrPlainAuth) {
		return "Credentials are not sent over an unencrypted connection. Use smtpSecurity starttls or tls."
	}
	return "The server does not offer a login method we know (PLAIN, LOGIN) here. Use the submission port with TLS, choose smtpAuth auto, or none if it needs no login."
}

// demandHint explains 530: something must come before MAIL.
func demandHint(c *Config, e *Error) string {
	if strings.Contains(strings.ToLower(e.Reply.Text), "tls") && (c.Security == "" || c.Security == SecurityNone) {
		return "The server takes mail over TLS only. Use smtpSecurity starttls."
	}
	return "The server takes mail after a login only. Set user name and password, and smtpAuth auto."
}

func rcptHint(c *Config, e *Error) string {
	if e.Reply == nil {
		return ""
	}
	text := strings.ToLower(e.Reply.Text)
	if strings.Contains(text, "relay") || e.Reply.Enhanced == "5.7.1" {
		if c.Username == "" {
			return "The server does not relay for this machine. Set user name and password, or allow this machine's address there."
		}
		return "The login worked, but this account may not relay to other domains. Give it that right on the server."
	}
	return "The server does not accept the test recipient. Try another testTo address."
}
