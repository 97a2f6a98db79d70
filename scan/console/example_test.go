package console_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/scan"
	"github.com/streamlease/streamlease/scan/console"
	"github.com/streamlease/streamlease/test/servers"
)

// The page among the other pages of a program. Viewers may change something if a hook says so.
func Example() {
	server, err := servers.Start(context.Background(), servers.Options{})
	if err != nil {
		panic(err)
	}
	defer server.Stop()
	client, err := rueidis.NewClient(server.ClientOption())
	if err != nil {
		panic(err)
	}
	defer client.Close()

	authorize := func(r *http.Request, a console.Action) (who string, err error) {
		user, _, ok := r.BasicAuth() // whatever the program knows its users by
		if !ok {
			return "", errors.New("log in first")
		}
		if a.Kind == console.ActionDrop && !a.Single() {
			return "", errors.New("drop dead letters one by one")
		}
		return user, nil
	}
	page := console.New(client, "chat", console.WithActions(authorize),
		console.WithInspector(scan.InspectorConfig{Partitions: 1})) // not needed where an engine has opened the service
	defer page.Close() // before the client

	mux := http.NewServeMux()
	mux.Handle("/streamlease/", page)
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/streamlease/", nil))
	fmt.Println(answer.Code, answer.Header().Get("Content-Type"))
	// Output: 200 text/html; charset=utf-8
}
