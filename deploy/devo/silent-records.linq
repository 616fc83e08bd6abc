from cloud.office365.management
group every 30m
select count() as records
