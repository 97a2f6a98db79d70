package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheWebhookGetsTheKeyOfTheChange(t *testing.T) {
	var got Alert
	var key string
	status := http.StatusOK
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key = r.Header.Get("Idempotency-Key")
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		w.WriteHeader(status)
	}))
	defer hook.Close()
	a := &alerter{hook.URL, hook.Client(), slog.New(slog.DiscardHandler)}
	alert := newAlert("shop", "https://shop.example.com/", State{Status: Down, Since: noon, Error: "refused"})
	require.NoError(t, a.send(t.Context(), alert))
	require.Equal(t, alert, got)
	require.Equal(t, "shop@1767355200000", key)

	status = http.StatusBadGateway
	require.ErrorContains(t, a.send(t.Context(), alert), "status 502")
	hook.Close()
	require.Error(t, a.send(t.Context(), alert))
	a.webhook = ""
	require.NoError(t, a.send(t.Context(), alert), "the log is enough")
}
