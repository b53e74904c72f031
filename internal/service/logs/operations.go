package logs

import "drover/internal/wire"

// Identity is how CloudWatch Logs presents itself on the wire, for its clients too.
var Identity = wire.Identity{
	Name:         "logs",
	TargetPrefix: "Logs_20140328",
	Version:      "2014-03-28",
	Protocols:    []wire.Protocol{wire.JSON11},
	LowerFirst:   true,
	Invalid:      codeInvalidParameter,
}

// ops is the table of the service's operations; each handler's file adds its line.
var ops = func() *wire.Table[*Service] {
	t := wire.NewTable[*Service](Identity)
	wire.Known(t, missing()...)
	return t
}()

// Wire binds the service to its operations, for the mux.
func (s *Service) Wire() wire.Service { return wire.Bind(ops, s) }

// missing are the operations that CloudWatch Logs has and drover does not.
func missing() []string {
	return []string{
		"AssociateKmsKey", "AssociateSourceToS3TableIntegration", "CancelExportTask",
		"CancelImportTask", "CreateDelivery", "CreateExportTask", "CreateImportTask",
		"CreateLogAnomalyDetector", "CreateLookupTable", "CreateScheduledQuery", "DeleteAccountPolicy",
		"DeleteDataProtectionPolicy", "DeleteDelivery", "DeleteDeliveryDestination",
		"DeleteDeliveryDestinationPolicy", "DeleteDeliverySource", "DeleteDestination",
		"DeleteIndexPolicy", "DeleteIntegration", "DeleteLogAnomalyDetector", "DeleteLookupTable",
		"DeleteMetricFilter", "DeleteQueryDefinition", "DeleteResourcePolicy", "DeleteScheduledQuery",
		"DeleteSubscriptionFilter", "DeleteSyslogConfiguration", "DeleteTransformer",
		"DescribeAccountPolicies", "DescribeConfigurationTemplates", "DescribeDeliveries",
		"DescribeDeliveryDestinations", "DescribeDeliverySources", "DescribeDestinations",
		"DescribeExportTasks", "DescribeFieldIndexes", "DescribeImportTaskBatches",
		"DescribeImportTasks", "DescribeIndexPolicies", "DescribeLookupTables",
		"DescribeMetricFilters", "DescribeQueries", "DescribeQueryDefinitions",
		"DescribeResourcePolicies", "DescribeSubscriptionFilters", "DisassociateKmsKey",
		"DisassociateSourceFromS3TableIntegration", "GetDataProtectionPolicy", "GetDelivery",
		"GetDeliveryDestination", "GetDeliveryDestinationPolicy", "GetDeliverySource",
		"GetIntegration", "GetLogAnomalyDetector", "GetLogFields", "GetLogGroupFields", "GetLogObject",
		"GetLogRecord", "GetLookupTable", "GetQueryResults", "GetScheduledQuery",
		"GetScheduledQueryHistory", "GetStorageTierPolicy", "GetTransformer",
		"ListAggregateLogGroupSummaries", "ListAnomalies", "ListIntegrations",
		"ListLogAnomalyDetectors", "ListLogGroups", "ListLogGroupsForQuery", "ListScheduledQueries",
		"ListSourcesForS3TableIntegration", "ListSyslogConfigurations", "ListTagsLogGroup",
		"PutAccountPolicy", "PutBearerTokenAuthentication", "PutDataProtectionPolicy",
		"PutDeliveryDestination", "PutDeliveryDestinationPolicy", "PutDeliverySource",
		"PutDestination", "PutDestinationPolicy", "PutIndexPolicy", "PutIntegration",
		"PutLogGroupDeletionProtection", "PutMetricFilter", "PutQueryDefinition", "PutResourcePolicy",
		"PutStorageTierPolicy", "PutSubscriptionFilter", "PutSyslogConfiguration", "PutTransformer",
		"StartLiveTail", "StartQuery", "StopQuery", "TagLogGroup", "TestMetricFilter",
		"TestTransformer", "UntagLogGroup", "UpdateAnomaly", "UpdateDeliveryConfiguration",
		"UpdateLogAnomalyDetector", "UpdateLookupTable", "UpdateScheduledQuery",
	}
}
