package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// actionView is what the pages about an action show.
type actionView struct {
	Action Action
	Title  string
	Target string // what is concerned, in words
	Hits   string // how many that are, in words
	Final  bool
	Fields []field // of the form that confirms it
	Result string
	Back   string // link
}

// field is a hidden field of a form.
type field struct{ Name, Value string }

// fields are those of forms of actions.
var fields = []string{"do", "partition", "id", "reason", "stream", "kind", "consumer", "weight", "for"}

// actPage does what a form asks for, or asks whether it is really meant. A request from another site is refused first, then the hook
// decides, and both before anything is counted.
func actPage(s *site, r *http.Request) (*view, error) {
	if s.set.authorize == nil {
		return nil, &refusal{http.StatusForbidden, "Nothing can be changed here: the program that serves this page has not set WithActions."}
	}
	if err := s.cross.Check(r); err != nil {
		return nil, &refusal{http.StatusForbidden, "The request comes from another site. Use the forms of this page. " + err.Error()}
	}
	r.Body = http.MaxBytesReader(nil, r.Body, mostForm)
	if err := r.ParseForm(); err != nil {
		return nil, badRequest("The form cannot be read: " + err.Error())
	}
	a, err := actionOf(r.PostForm)
	if err != nil {
		return nil, err
	}
	who, err := s.set.authorize(r, a)
	if err != nil {
		return nil, &refusal{http.StatusForbidden, err.Error()}
	}
	ctx, done := s.bounded(r)
	defer done()
	data := &actionView{Action: a, Title: titles[a.Kind], Target: a.target(), Final: a.final(), Back: back(a)}
	if a.asksTwice() && r.PostForm.Get("sure") != "yes" {
		if data.Hits, err = s.hits(ctx, a); err != nil {
			return nil, err
		}
		data.Fields = kept(r.PostForm)
		return &view{template: "confirm", title: data.Title + "?", data: data}, nil
	}
	data.Result, err = s.perform(ctx, a, who)
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	s.set.log.Info("operator acted on the service", "service", s.service, "who", visible(who), "action", string(a.Kind), "target", data.Target,
		"result", data.Result, "err", problem)
	if err != nil {
		return nil, fmt.Errorf("%s%w", partly(data.Result), err)
	}
	return &view{template: "done", title: data.Title, data: data}, nil
}

func partly(result string) string {
	if result == "" {
		return ""
	}
	return result + " Then: "
}

func kept(form url.Values) (all []field) {
	for _, name := range fields {
		if value := valueOf(form, name); value != "" {
			all = append(all, field{escapedField + name, url.QueryEscape(value)})
		}
	}
	return append(all, field{"sure", "yes"})
}

var titles = map[ActionKind]string{
	ActionSendBack: "Send dead letters back", ActionDrop: "Drop dead letters", ActionBringForward: "Bring forward what is delayed",
	ActionCancel: "Cancel what is delayed", ActionReannounce: "Reannounce what is stranded", ActionAsk: "Ask the fleet", ActionWithdraw: "Withdraw a wish",
}

func back(a Action) string {
	switch a.Kind {
	case ActionSendBack, ActionDrop:
		return "letters"
	case ActionBringForward, ActionCancel:
		return "delayed"
	case ActionAsk, ActionWithdraw:
		if a.Wish.Consumer != "" {
			return "fleet"
		}
	}
	return "maintenance"
}

// perform does it, and says what came of it.
func (s *site) perform(ctx context.Context, a Action, who string) (result string, err error) {
	switch a.Kind {
	case ActionSendBack:
		n, err := s.inspect().SendBack(ctx, a.Selection)
		return sayDone(n, "dead letter", "sent back", err), err
	case ActionDrop:
		n, err := s.inspect().Drop(ctx, a.Selection)
		return sayDone(n, "dead letter", "dropped", err), err
	case ActionBringForward:
		n, gone, err := s.inspect().BringForward(ctx, a.Selection)
		return sayDone(n, "delayed announcement", "handed out now", err) + sayGone(gone), err
	case ActionCancel:
		n, gone, err := s.inspect().CancelDelayed(ctx, a.Selection)
		return sayDone(n, "delayed announcement", "cancelled", err) + sayGone(gone), err
	case ActionReannounce:
		n, err := s.inspect().Reannounce(ctx, a.Selection)
		return sayDone(n, "stranded announcement", "requeued", err), err
	case ActionAsk:
		a.Wish.Reason = signed(who, a.Wish.Reason)
		if err := s.inspect().Ask(ctx, a.Wish); err != nil {
			return "", err
		}
		return fmt.Sprintf("On record: %s. Processes learn of it within about a second.", a.target()), nil
	}
	if err := s.inspect().Withdraw(ctx, a.Wish.Kind, a.Wish.Consumer); err != nil {
		return "", err
	}
	return "Withdrawn: " + a.target() + ".", nil
}

func sayDone(n int, noun, done string, err error) string {
	if n == 0 && err != nil {
		return ""
	}
	if n == 0 {
		return "Nothing was " + done + ": there was nothing left that this selects."
	}
	return plural(n, noun) + verb(n, " was ", " were ") + done + "."
}

func sayGone(n int) string {
	if n == 0 {
		return ""
	}
	return " " + plural(n, "other") + verb(n, " was", " were") + " handed out or cancelled by somebody else in the meantime."
}
