package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// Alert says that a monitor went down or up. It may be sent more than once, after a crash or when the answer was lost: Key is the same then.
type Alert struct {
	Key     string    `json:"key"` // of the transition: monitor and since
	Monitor string    `json:"monitor"`
	Target  string    `json:"target"`
	Status  Status    `json:"status"`
	Since   time.Time `json:"since"`
	Error   string    `json:"error,omitempty"`
}

func newAlert(monitor, target string, s State) Alert {
	key := monitor + "@" + strconv.FormatInt(s.Since.UnixMilli(), 10)
	return Alert{Key: key, Monitor: monitor, Target: target, Status: s.Status, Since: s.Since, Error: s.Error}
}

// alerter writes alerts to the log, and posts them to a webhook if there is one.
type alerter struct {
	webhook string
	client  *http.Client
	log     *slog.Logger
}

// send returns an error if the webhook did not take the alert: then the next check of the monitor sends it again.
func (a *alerter) send(ctx context.Context, alert Alert) error {
	a.log.Warn("monitor is "+string(alert.Status), "monitor", alert.Monitor, "since", alert.Since, "error", alert.Error, "key", alert.Key)
	if a.webhook == "" {
		return nil
	}
	body, err := json.Marshal(alert)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.webhook, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", alert.Key)
	answer, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("webhook: status %s", answer.Status)
	}
	return nil
}
