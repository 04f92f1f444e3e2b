package senderdomain

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// dnsProviders says by the end of a name server's name who runs it.
var dnsProviders = []struct{ suffix, name string }{
	{"akam.net", "Akamai"},
	{"alidns.com", "Alibaba Cloud"},
	{"anycast.me", "OVHcloud"},
	{"azure-dns.com", "Azure DNS"},
	{"azure-dns.info", "Azure DNS"},
	{"azure-dns.net", "Azure DNS"},
	{"azure-dns.org", "Azure DNS"},
	{"bluehost.com", "Bluehost"},
	{"bunny.net", "bunny.net"},
	{"cloudflare.com", "Cloudflare"},
	{"cloudns.net", "ClouDNS"},
	{"desec.io", "deSEC"},
	{"desec.org", "deSEC"},
	{"digitalocean.com", "DigitalOcean"},
	{"dns-parking.com", "Hostinger"},
	{"dnsimple.com", "DNSimple"},
	{"dnsimple-edge.net", "DNSimple"},
	{"dnsmadeeasy.com", "DNS Made Easy"},
	{"dnspod.net", "DNSPod"},
	{"domaincontrol.com", "GoDaddy"},
	{"dreamhost.com", "DreamHost"},
	{"dynect.net", "Oracle Cloud"},
	{"first-ns.de", "Hetzner"},
	{"gandi.net", "Gandi"},
	{"googledomains.com", "Google Cloud DNS"},
	{"he.net", "Hurricane Electric"},
	{"hetzner.com", "Hetzner"},
	{"hetzner.de", "Hetzner"},
	{"hichina.com", "Alibaba Cloud"},
	{"hostgator.com", "HostGator"},
	{"hover.com", "Hover"},
	{"infomaniak.ch", "Infomaniak"},
	{"infomaniak.com", "Infomaniak"},
	{"inwx.de", "INWX"},
	{"linode.com", "Linode"},
	{"loopia.se", "Loopia"},
	{"name.com", "Name.com"},
	{"nsone.net", "NS1"},
	{"one.com", "one.com"},
	{"ovh.net", "OVHcloud"},
	{"porkbun.com", "Porkbun"},
	{"registrar-servers.com", "Namecheap"},
	{"rzone.de", "STRATO"},
	{"second-ns.com", "Hetzner"},
	{"second-ns.de", "Hetzner"},
	{"siteground.net", "SiteGround"},
	{"squarespacedns.com", "Squarespace"},
	{"transip.net", "TransIP"},
	{"ui-dns.biz", "IONOS"},
	{"ui-dns.com", "IONOS"},
	{"ui-dns.de", "IONOS"},
	{"ui-dns.org", "IONOS"},
	{"ultradns.com", "UltraDNS"},
	{"ultradns.net", "UltraDNS"},
	{"vercel-dns.com", "Vercel"},
	{"vultr.com", "Vultr"},
	{"wixdns.net", "Wix"},
	{"worldnic.com", "Network Solutions"},
	{"yandexcloud.net", "Yandex Cloud"},
}

// dnsProvider names who runs name servers, "" when the table does not know.
func dnsProvider(servers []string) string {
	for _, server := range servers {
		if strings.Contains(server, ".awsdns-") { // ns-1.awsdns-02.co.uk
			return "Amazon Route 53"
		}
		for _, p := range dnsProviders {
			if server == p.suffix || strings.HasSuffix(server, "."+p.suffix) {
				return p.name
			}
		}
	}
	return ""
}

// Zone is the name at which the DNS zone of a domain probably begins: the
// registered domain, or the domain itself when none is known.
func Zone(name string) string {
	zone, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil {
		return name
	}
	return zone
}

// provider finds who runs the name servers of a domain, walking up to its
// zone. An error means that nothing is known.
func (c *Checker) provider(ctx context.Context, name string) (string, error) {
	zone := Zone(name)
	for at := name; ; {
		servers, err := c.resolver.NS(ctx, at)
		switch {
		case err == nil:
			return dnsProvider(servers), nil
		case !errors.Is(err, ErrNotFound):
			return "", err
		case at == zone:
			return "", nil
		}
		_, at, _ = strings.Cut(at, ".")
	}
}
