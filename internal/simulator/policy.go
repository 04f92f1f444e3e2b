package simulator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// Policy is a Postfix policy service (SMTPD_POLICY_README of Postfix, asked at
// RCPT): it refuses the first attempts for refused@, so that a real Postfix
// behaves as [MTA] does.
type Policy struct {
	Refusals int                 // 0: 1
	Seen     func(sender string) // as in MTAConfig
	tally    tally
}

// The bounds of one request.
const (
	maxPolicyLine  = 4096
	maxPolicyLines = 200
)

// Run answers on l, which it closes, until ctx ends.
func (p *Policy) Run(ctx context.Context, l net.Listener) error {
	conns := &connSet{Listener: l}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	places := make(chan struct{}, maxSessions)
	var work sync.WaitGroup
	for {
		c, err := conns.Accept()
		if err != nil {
			conns.closeAll()
			work.Wait()
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		select {
		case places <- struct{}{}:
		default:
			_ = c.Close()
			continue
		}
		work.Go(func() {
			defer func() { <-places }()
			defer func() { _ = c.Close() }()
			p.talk(c)
		})
	}
}

// talk answers requests until the connection ends or says nonsense.
func (p *Policy) talk(c net.Conn) {
	in := bufio.NewReaderSize(c, maxPolicyLine)
	for {
		_ = c.SetDeadline(time.Now().Add(10 * time.Minute)) // Postfix keeps it open
		request, err := readPolicy(in)
		if err != nil {
			return
		}
		if _, err := io.WriteString(c, "action="+p.judge(request)+"\n\n"); err != nil {
			return
		}
	}
}

func (p *Policy) judge(request map[string]string) string {
	sender, to := request["sender"], request["recipient"]
	if p.Seen != nil {
		p.Seen(sender)
	}
	if localPart(to) == localRefused && p.tally.next(sender, to) <= max(p.Refusals, 1) {
		return notNow.String()
	}
	return "DUNNO"
}

// readPolicy reads one request: lines of name=value up to an empty line.
func readPolicy(in *bufio.Reader) (map[string]string, error) {
	request := map[string]string{}
	for range maxPolicyLines {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, fmt.Errorf("read a policy request: %w", err)
		}
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			return request, nil
		}
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, errors.New("policy request: a line without =")
		}
		request[name] = value
	}
	return nil, fmt.Errorf("policy request: more than %d lines", maxPolicyLines)
}
