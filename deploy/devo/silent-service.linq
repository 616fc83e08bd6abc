from my.app.m365_collector.stats
group every 5m by hostname
select count() as events
