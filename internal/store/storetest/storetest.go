// Package storetest is the conformance suite of the storage contract: what
// package store promises in words, proved against an engine. Each engine's own
// tests call it:
//
//	storetest.Run(t, storetest.Engine{
//		Open:   func(t *testing.T) store.Store { … },                // new and empty; closed by t.Cleanup
//		Reopen: func(t *testing.T, s store.Store) store.Store { … }, // closes s, opens the same data again
//	})
//
// The suite uses nothing but the contract, so it holds for every engine. It
// asserts no durations. Stores that Open or Reopen gave are closed by the
// engine's functions (Close twice must be harmless), never by the suite.
//
// Where the contract leaves a choice, the suite settles it for all engines:
//
//   - the day of a counter is the UTC day of Event.At;
//   - evidence is in the trail, not in ListEvents;
//   - Relayed does nothing when the fact is a duplicate;
//   - a retry without an attempt leaves "unknown" as it was;
//   - the time at which an Accept looks whether a Replay's key is live is that of
//     its content's id;
//   - a suppression that has expired is replaced by a new one;
//   - a holder whose lease ran out may still settle until another claims it,
//     or surgery acts on it;
//   - RetryNow does not count what is due already;
//   - Move and SetPause answer ErrNotFound for a pool or provider that is not
//     the account's, and nothing is changed;
//   - a list of a pool that a deleted provider leaves empty goes;
//   - the age of an event is that of its id, when it was stored;
//   - a group that a message names twice counts once;
//   - rows of a breakdown have no counters of zero, and their keys are in the
//     order of bytes;
//   - counters by time equal a recount of the events and exchanges, too;
//   - limits hold while the clock steps back by less than two hours.
package storetest

import (
	"testing"

	"github.com/waypost-mail/waypost/internal/store"
)

// Engine opens the stores of one engine.
type Engine struct {
	// Open gives a new and empty store, closed when the test ends.
	Open func(t *testing.T) store.Store
	// Reopen closes s and opens its data again, as after a restart.
	Reopen func(t *testing.T, s store.Store) store.Store
}

// Run proves every promise of the contract, one subtest each.
func Run(t *testing.T, e Engine) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, Engine)
	}{
		{"Install", testInstall},
		{"Keys", testKeys},
		{"KeyList", testKeyList},
		{"KeyChanges", testKeyChanges},
		{"SubmissionKey", testSubmissionKey},
		{"SubAccounts", testSubAccounts},
		{"DeleteSubAccount", testDeleteSubAccount},
		{"Providers", testProviders},
		{"Pools", testPools},
		{"UpdateProvider", testUpdateProvider},
		{"DeleteProvider", testDeleteProvider},
		{"RotateKey", testRotateKey},
		{"UpdatePool", testUpdatePool},
		{"DeletePool", testDeletePool},
		{"Pauses", testPauses},
		{"Journal", testJournal},
		{"Audits", testAudits},
		{"Agent", testAgent},
		{"Lists", testLists},
		{"Domains", testDomains},
		{"ChangeDomain", testChangeDomain},
		{"DomainsDue", testDomainsDue},
		{"CountDomains", testCountDomains},
		{"Templates", testTemplates},
		{"Suppressions", testSuppressions},
		{"SuppressionList", testSuppressionList},
		{"SuppressionLook", testSuppressionLook},
		{"SuppressAdded", testSuppressAdded},
		{"Unsuppress", testUnsuppress},
		{"PruneSuppressions", testPruneSuppressions},
		{"People", testPeople},
		{"Sessions", testSessions},
		{"Marks", testMarks},
		{"MarksTogether", testMarksTogether},
		{"Tenancy", testTenancy},
		{"AcceptWhole", testAcceptWhole},
		{"AcceptDuplicate", testAcceptDuplicate},
		{"Replay", testReplay},
		{"ReplayRace", testReplayRace},
		{"PruneReplays", testPruneReplays},
		{"Content", testContent},
		{"SentAs", testSentAs},
		{"ClaimOrder", testClaimOrder},
		{"ClaimNextDue", testClaimNextDue},
		{"ClaimLeases", testClaimLeases},
		{"ClaimConcurrent", testClaimConcurrent},
		{"LaneHeads", testLaneHeads},
		{"SettleFinish", testSettleFinish},
		{"SettleRetry", testSettleRetry},
		{"SettleLost", testSettleLost},
		{"SettleProvider", testSettleProvider},
		{"Lanes", testLanes},
		{"SimulatorLane", testSimulatorLane},
		{"Waiting", testWaiting},
		{"RetryNow", testRetryNow},
		{"Cancel", testCancel},
		{"CancelUnknown", testCancelUnknown},
		{"Move", testMove},
		{"SurgerySelection", testSurgerySelection},
		{"SurgeryHeld", testSurgeryHeld},
		{"SurgeryTenancy", testSurgeryTenancy},
		{"SurgeryProperty", testSurgeryProperty},
		{"LimitsHold", testLimitsHold},
		{"LimitsTwoLanes", testLimitsTwoLanes},
		{"LimitsRefund", testLimitsRefund},
		{"LimitsSpread", testLimitsSpread},
		{"LimitsProperty", testLimitsProperty},
		{"Buckets", testBuckets},
		{"RecordKey", testRecordKey},
		{"RecordOnce", testRecordOnce},
		{"RecordDeferral", testRecordDeferral},
		{"RecordRelayed", testRecordRelayed},
		{"RelayedEvidence", testRelayedEvidence},
		{"RecordSuppress", testRecordSuppress},
		{"Reports", testReports},
		{"ReportsTenancy", testReportsTenancy},
		{"ReportsPrune", testReportsPrune},
		{"Reclassify", testReclassify},
		{"RecordFirst", testRecordFirst},
		{"RecordFirstBatch", testRecordFirstBatch},
		{"EventIDs", testEventIDs},
		{"ListEvents", testListEvents},
		{"EventFilters", testEventFilters},
		{"ListMessages", testListMessages},
		{"ListMessagesTenancy", testListMessagesTenancy},
		{"Search", testSearch},
		{"SearchAges", testSearchAges},
		{"Standings", testStandings},
		{"PruneEvents", testPruneEvents},
		{"PruneMessages", testPruneMessages},
		{"PruneJournal", testPruneJournal},
		{"Trail", testTrail},
		{"Transcripts", testTranscripts},
		{"DailyStats", testDailyStats},
		{"Breakdown", testBreakdown},
		{"Times", testTimes},
		{"PoolTimes", testPoolTimes},
		{"TimesReclassify", testTimesReclassify},
		{"SampleDepth", testSampleDepth},
		{"PruneTimes", testPruneTimes},
		{"Size", testSize},
		{"BreakdownReclassify", testBreakdownReclassify},
		{"BreakdownCancel", testBreakdownCancel},
		{"Webhooks", testWebhooks},
		{"WebhooksTenancy", testWebhooksTenancy},
		{"DeliveriesStored", testDeliveriesStored},
		{"DeliveriesOwn", testDeliveriesOwn},
		{"DeliveriesClaim", testDeliveriesClaim},
		{"DeliveriesLost", testDeliveriesLost},
		{"DeliveriesState", testDeliveriesState},
		{"DeliveriesList", testDeliveriesList},
		{"DeliveriesReplay", testDeliveriesReplay},
		{"DeliveriesPrune", testDeliveriesPrune},
		{"Restart", testRestart},
		{"Cancelled", testCancelled},
		{"Load", testLoad},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, e) })
	}
}
