package smtptest

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
)

// session is one connection.
type session struct {
	server *Server
	script *Script
	raw    net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	number int
	secure bool
	user   string

	env    Envelope
	inMail bool
	count  int // messages answered on this connection
}

func (ses *session) attach(conn net.Conn) {
	ses.r = bufio.NewReaderSize(conn, 64<<10)
	ses.w = bufio.NewWriter(conn)
}

func codeText(code int) string { return strconv.Itoa(code) }

// or is reply, or the default when the script says nothing.
func or(reply, otherwise string) string {
	if reply == "" {
		return otherwise
	}
	return reply
}

// at plays CutAt and HangAt; false ends the session.
func (ses *session) at(stage string) bool {
	if ses.count < ses.script.CutAfter {
		return true
	}
	if stage == ses.script.HangAt {
		_ = ses.w.Flush()
		_, _ = io.Copy(io.Discard, ses.raw) // until the client goes away
		return false
	}
	if stage == ses.script.CutAt {
		_ = ses.w.Flush()
		return false
	}
	return true
}

// reply queues an answer; it leaves when no command is waiting.
func (ses *session) reply(text string) bool {
	_, _ = ses.w.WriteString(text)
	_, err := ses.w.WriteString("\r\n")
	if err == nil && ses.r.Buffered() == 0 && (!ses.script.LateReplies || !ses.inMail) {
		err = ses.w.Flush()
	}
	return err == nil
}

func (ses *session) run() {
	if !ses.at("banner") || !ses.reply(or(ses.script.Banner, "220 scripted ESMTP")) {
		return
	}
	for {
		line, err := ses.readLine()
		if err != nil || !ses.command(line) {
			_ = ses.w.Flush()
			return
		}
	}
}

func (ses *session) readLine() (string, error) {
	line, err := ses.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if ses.script.LosePipelined {
		_, _ = ses.r.Discard(ses.r.Buffered())
	}
	if !ses.script.Discard {
		ses.server.update(func() {
			c := &ses.server.commands[ses.number-1]
			*c = append(*c, line)
		})
	}
	return line, nil
}

// command answers one line; false ends the session.
func (ses *session) command(line string) bool {
	verb, args, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO":
		return ses.at("ehlo") && ses.reply(ses.script.ehlo(ses.secure))
	case "HELO":
		return ses.reply("250 scripted server")
	case "STARTTLS":
		return ses.onStartTLS()
	case "AUTH":
		return ses.at("auth") && ses.onAuth(args)
	case "MAIL":
		return ses.at("mail") && ses.onMail(args)
	case "RCPT":
		return ses.at("rcpt") && ses.onRcpt(args)
	case "DATA":
		return ses.at("data") && ses.onData()
	case "RSET":
		ses.env, ses.inMail = Envelope{}, false
		return ses.at("rset") && ses.reply(or(ses.script.Rset, "250 2.0.0 reset"))
	case "NOOP":
		return ses.reply("250 2.0.0 ok")
	case "QUIT":
		if ses.at("quit") {
			ses.reply(or(ses.script.Quit, "221 2.0.0 bye"))
		}
		return false
	}
	return ses.reply("500 5.5.2 unknown command")
}

func (ses *session) onStartTLS() bool {
	if !ses.at("starttls") {
		return false
	}
	text := or(ses.script.StartTLSReply, "220 2.0.0 go ahead")
	_, _ = ses.w.WriteString(text + "\r\n" + ses.script.StartTLSExtra)
	if ses.w.Flush() != nil || !strings.HasPrefix(text, "220") {
		return !strings.HasPrefix(text, "421")
	}
	return ses.at("tls") && ses.startTLS()
}

func (ses *session) onMail(args string) bool {
	path, params := cutPath(args)
	answer := or(ses.script.Mail, "250 2.1.0 sender ok")
	if ses.script.MailFunc != nil {
		answer = or(ses.script.MailFunc(path), answer)
	}
	if ses.inMail {
		answer = "503 5.5.1 nested MAIL command"
	} else if positive(answer) {
		ses.env, ses.inMail = Envelope{From: path, MailArgs: params}, true
	}
	return ses.reply(answer) && !final421(answer)
}

func (ses *session) onRcpt(args string) bool {
	path, params := cutPath(args)
	answer := "250 2.1.5 recipient ok"
	if ses.script.Rcpt != nil {
		answer = or(ses.script.Rcpt(path), answer)
	}
	if !ses.inMail {
		answer = "503 5.5.1 MAIL first"
	} else if positive(answer) {
		ses.env.To = append(ses.env.To, path)
		ses.env.RcptArgs = append(ses.env.RcptArgs, params)
	}
	return ses.reply(answer) && !final421(answer)
}

func (ses *session) onData() bool {
	answer := or(ses.script.Data, "354 go ahead")
	if len(ses.env.To) == 0 && !ses.script.DataAnyway {
		answer = "554 5.5.1 no valid recipients"
	}
	_, _ = ses.w.WriteString(answer + "\r\n")
	if ses.w.Flush() != nil {
		return false
	}
	if !strings.HasPrefix(answer, "354") {
		return !final421(answer)
	}
	if !ses.at("body") {
		return false
	}
	data, err := readBody(ses.r, ses.script.Discard)
	if err != nil || !ses.at("final") {
		return false
	}
	return ses.onFinal(data)
}

func (ses *session) onFinal(data []byte) bool {
	answer := "250 2.0.0 queued as " + strconv.Itoa(ses.number) + "-" + strconv.Itoa(ses.count+1)
	if len(ses.env.To) == 0 {
		answer = "554 5.5.1 no recipients"
	} else if ses.script.Final != nil {
		answer = or(ses.script.Final(ses.env, data), answer)
	}
	if positive(answer) {
		ses.server.received.Add(1)
		if !ses.script.Discard {
			m := Message{Envelope: ses.env, Data: data, TLS: ses.secure, User: ses.user, Session: ses.number}
			ses.server.update(func() { ses.server.messages = append(ses.server.messages, m) })
		}
	}
	ses.env, ses.inMail = Envelope{}, false
	ses.count++
	ok := ses.reply(answer) && !final421(answer)
	return ok && (ses.script.CloseAfter == 0 || ses.count < ses.script.CloseAfter)
}

// readBody reads up to the lone dot and undoes dot-stuffing.
func readBody(r *bufio.Reader, discard bool) ([]byte, error) {
	var data []byte
	lineStart := true
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if lineStart && len(line) > 0 && line[0] == '.' {
			if string(line) == ".\r\n" {
				return data, nil
			}
			line = line[1:]
		}
		lineStart = err == nil
		if !discard {
			data = append(data, line...)
		}
	}
}

func (ses *session) onAuth(args string) bool {
	mech, initial, _ := strings.Cut(args, " ")
	var user, pass string
	switch strings.ToUpper(mech) {
	case "PLAIN":
		if initial == "" || ses.script.PlainChallenge {
			var ok bool
			if initial, ok = ses.challenge(""); !ok {
				return false
			}
		}
		parts := strings.Split(decode(initial), "\x00")
		if len(parts) == 3 {
			user, pass = parts[1], parts[2]
		}
	case "LOGIN":
		u, ok := ses.challenge("VXNlcm5hbWU6")
		if !ok {
			return false
		}
		p, ok := ses.challenge("UGFzc3dvcmQ6")
		if !ok {
			return false
		}
		user, pass = decode(u), decode(p)
	default:
		return ses.reply("504 5.5.4 unknown mechanism")
	}
	answer := "535 5.7.8 wrong user name or password"
	if user == ses.script.Username && pass == ses.script.Password {
		ses.user = user
		answer = "235 2.7.0 welcome"
	}
	answer = or(ses.script.AuthReply, answer)
	return ses.reply(answer) && !final421(answer)
}

func (ses *session) challenge(text string) (string, bool) {
	if !ses.reply("334 " + text) {
		return "", false
	}
	line, err := ses.readLine()
	return line, err == nil
}

func decode(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(b)
}

// cutPath splits "FROM:<a@b> X=1" into address and parameters.
func cutPath(args string) (path, params string) {
	_, rest, _ := strings.Cut(args, "<")
	path, params, _ = strings.Cut(rest, ">")
	return path, strings.TrimSpace(params)
}

func positive(reply string) bool { return strings.HasPrefix(reply, "2") }
func final421(reply string) bool { return strings.HasPrefix(reply, "421") }
