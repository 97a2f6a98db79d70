package preflight

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// reads asks every node for what engine/feed needs besides the rights of its engine.
func (c *check) reads(ctx context.Context) {
	if c.Reads == nil {
		return
	}
	for _, n := range c.nodes {
		if n.err != nil {
			continue
		}
		p := newProber(ctx, c, n)
		p.streams()
		if c.Reads.Tracks {
			p.tracks()
		}
		p.streamTypes()
	}
}

// streams asks whether the user may read data streams.
func (p *prober) streams() {
	uses := p.Reads.uses()
	var questions [][]string
	for _, stream := range p.Reads.Streams {
		for _, u := range uses {
			questions = append(questions, u.commandOn(example(stream), ""))
		}
	}
	answers := p.askAll(questions)
	for i, stream := range p.Reads.Streams {
		p.reportStream(stream, uses, answers[i*len(uses):][:len(uses)])
	}
}

// example returns the name of a data stream that an entry of Reading.Streams stands for.
func example(stream string) string {
	if start, many := strings.CutSuffix(stream, "*"); many {
		return start + nothing
	}
	return stream
}

// reportStream adds the findings that follow from the answers about one entry of Reading.Streams.
func (p *prober) reportStream(stream string, uses []use, answers []answer) {
	rule := "~" + escaped(stream)
	for i, u := range uses {
		name := strings.ToUpper(strings.ReplaceAll(u.Command, "|", " "))
		switch a := answers[i]; {
		case a == noCommand && u.Command != "evalsha": // an engine's right, which is reported with the others
			p.lack(u.severity, fmt.Sprintf("%s may not run %s on data streams: %s", p.who(), name, u.without), "", "+"+u.Command)
		case a == noKey && u.severity == Fatal && u.Command != "evalsha":
			p.lack(Fatal, fmt.Sprintf("%s may not read the data streams %s: each of them fails, and is dead-lettered in the end", p.who(), stream), "", rule)
			return // with that rule, nothing else is refused for the key
		case a == noKey && u.Command == "evalsha":
			p.lack(u.severity, fmt.Sprintf("%s may not use the data streams %s in scripts, which takes the right to write, too: %s", p.who(), stream, u.without), "", rule)
			return
		case a == noKey:
			p.lack(u.severity, fmt.Sprintf("%s may not run %s on the data streams %s: %s", p.who(), name, stream, u.without), "", rule)
		case a == unknown:
			p.add(Note, Rights, p.node.addr, fmt.Sprintf("whether %s may run %s on data streams is unknown: there was no answer", p.who(), name), "")
		}
	}
}

// streamTypes reads data streams whose names are known, to find keys of another type.
func (p *prober) streamTypes() {
	for _, stream := range p.Reads.Streams {
		if stream == example(stream) && p.ask("XRANGE", stream, "0-0", "0-0") == wrongType {
			p.add(Warning, Layout, p.node.addr, "a key of another type has the name of a data stream: "+stream+"; it fails, and is dead-lettered", "Delete or rename it")
		}
	}
}

// usualTable is the default of tracking-table-max-keys.
const usualTable = 1_000_000

// tracks reports whether a client can hear of writes to this node, and what a feed does that cannot.
func (p *prober) tracks() {
	severity, instead := Fatal, "a feed with Mode Tracking does not run"
	if every := p.Reads.PollEvery; every > 0 {
		severity, instead = Warning, fmt.Sprintf("each stream is read every %v, which is %.0f reads a second for 10,000 streams, and a message waits for up to %v",
			every, 10_000/every.Seconds(), every)
	}
	question := tracking.command(p.Layout, 0)
	a := p.askAll([][]string{question})[0]
	if a == allowed && p.dryRun {
		a = p.ask(question...) // a dry run does not say whether the server has the command, or a proxy on the way to it
	}
	switch a {
	case noCommand:
		p.lack(severity, p.who()+" may not run CLIENT TRACKING: "+instead, "", "+"+tracking.Command)
	case missing:
		p.add(severity, Tracking, p.node.addr, "CLIENT TRACKING is not known: "+instead, "Connect to the server itself, if a proxy is on the way to it; Redis 6 and later, and Valkey, know it")
	case unknown:
		p.add(Note, Tracking, p.node.addr, "whether CLIENT TRACKING works is unknown: there was no answer", "")
	}
	if p.speaksRESP2() {
		p.add(severity, Tracking, p.node.addr, "the connection speaks RESP2, in which no client hears of writes: "+instead,
			"Leave AlwaysRESP2 out of the options of the client, and connect to the server itself, if a proxy is on the way to it")
	}
	if n, err := strconv.Atoi(p.node.config[tableSetting]); err == nil && n > 0 && n < usualTable {
		p.add(Note, Tracking, p.node.addr, fmt.Sprintf("%s is %d: with more streams on this server, those of all processes together, streams are read without need", tableSetting, n),
			"Raise it if there may be as many")
	}
}

// speaksRESP2 reports whether the connection to the node is known to speak no RESP3. HELLO without an argument changes nothing, and
// takes no right. Who does not know it speaks RESP2.
func (p *prober) speaksRESP2() bool {
	result := p.node.ask(p.ctx, p.Terms, "HELLO")
	if classify(result, "HELLO") == missing {
		return true
	}
	fields, err := result.AsMap()
	if err != nil {
		return false
	}
	proto := fields["proto"]
	n, err := proto.AsInt64()
	return err == nil && n < 3
}
