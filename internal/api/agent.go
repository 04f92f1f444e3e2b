package api

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
)

// AgentView is what is known of the agent beside a provider's mail server.
type AgentView struct {
	AgentStatus string `json:"agentStatus" enum:"ok,late,silent,never" doc:"by the age of its last report"`
	LastSeen    *int64 `json:"agentLastSeenAt" doc:"UNIX nanoseconds"`
	ID          string `json:"id"`
	Version     string `json:"version"`
	Hostname    string `json:"hostname"`
	MTA         string `json:"mta"`

	Status    string   `json:"status" doc:"ok, degraded or failing, by its own word"`
	Reasons   []string `json:"reasons"`
	Log       string   `json:"log" doc:"the file that it reads, or the journal"`
	Position  int64    `json:"position" doc:"bytes read of the file"`
	LagBytes  int64    `json:"lagBytes" doc:"bytes of the log that it has not read yet"`
	LastLine  *int64   `json:"lastLineAt" doc:"UNIX nanoseconds, the stamp of the last line understood"`
	Buffered  int64    `json:"buffered" doc:"events on its disk that the server does not have"`
	Unmatched int64    `json:"unknownQueueIds" doc:"outcomes in the log whose message is unknown, since the agent's start"`
	Sample    []string `json:"unknownSample" doc:"queue ids of the latest of them"`
}

func (a *API) providerAgent(ctx context.Context, in *idPath) (AgentView, error) {
	p, err := a.cfg.Store.Provider(ctx, caller(ctx).Account, in.ID)
	if isNotFound(err) {
		return AgentView{}, notFound("provider", in.ID)
	}
	if err != nil {
		return AgentView{}, fmt.Errorf("read provider %d: %w", in.ID, err)
	}
	g, err := a.cfg.Store.Agent(ctx, p.ID)
	if err != nil && !isNotFound(err) {
		return AgentView{}, fmt.Errorf("read the agent of provider %d: %w", p.ID, err)
	}
	return agentView(&g, time.Now()), nil
}

func agentView(g *waypost.Agent, now time.Time) AgentView {
	s := &g.State
	out := AgentView{
		ID: g.ID, Version: g.Version, Hostname: g.Hostname, MTA: g.MTA, Status: s.Status, Reasons: s.Reasons, Log: s.Log,
		Position: s.Position, LagBytes: s.LagBytes, Buffered: s.Buffered, Unmatched: s.Unmatched, Sample: s.Sample,
	}
	out.AgentStatus, out.LastSeen = agentStatus(g.LastSeen, now)
	if !s.LastLine.IsZero() {
		ns := s.LastLine.UnixNano()
		out.LastLine = &ns
	}
	if out.Reasons == nil {
		out.Reasons = []string{}
	}
	if out.Sample == nil {
		out.Sample = []string{}
	}
	return out
}
