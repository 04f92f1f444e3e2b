// Package packaging holds what an installation of the agent consists of
// besides its binary: the systemd unit, the configuration file, the scripts
// that a package runs, and the script that the server hands to a new host.
//
// The same files go into the .deb and .rpm that nfpm builds (build.sh, called
// by make packages) and, through this package, into the server's
// GET /agent/install.sh, so that a host without a package manager gets the
// same installation. It has no code beyond that, fails in no way, and imports
// nothing.
package packaging

import _ "embed"

// What the agent is installed with.
var (
	//go:embed agent/install.sh
	InstallScript string // a text/template, see internal/server
	//go:embed agent/waypost-agent.service
	AgentUnit string
	//go:embed agent/config.yaml
	AgentConfig string
	//go:embed agent/postinst
	AgentPostinst string
	//go:embed agent/prerm
	AgentPrerm string
	//go:embed agent/postrm
	AgentPostrm string
)
