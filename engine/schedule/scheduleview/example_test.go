package scheduleview_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/streamlease/streamlease/engine/schedule"
	"github.com/streamlease/streamlease/engine/schedule/scheduleview"
	"github.com/streamlease/streamlease/scan/console"
	"github.com/streamlease/streamlease/test/servers"
)

// The operators' page of a service with schedules, among the other pages of a program.
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
	table, err := schedule.NewTable(client, "monitors")
	if err != nil {
		panic(err)
	}
	if _, err := table.Put(context.Background(), schedule.Spec{Name: "front page", Every: 30 * time.Second}); err != nil {
		panic(err)
	}

	schedules := scheduleview.New(table)
	page := console.New(client, "monitors", console.WithSchedules(schedules))
	defer page.Close()
	mux := http.NewServeMux()
	mux.Handle("/streamlease/", page)

	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/streamlease/schedules", nil))
	fmt.Println(answer.Code, strings.Contains(answer.Body.String(), "front page"))
	_, err = schedules.Get(context.Background(), "back page")
	fmt.Println(errors.Is(err, console.ErrNoSchedule))
	// Output:
	// 200 true
	// true
}
